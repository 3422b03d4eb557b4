#pragma once

#include "formats/scale.h"
#include "quantization/quantizer_format.h"

namespace lathe::quantization {

/// The scale of a key/value cache as checkpoints hold it (k_scale, v_scale): amax / 448, for FP8
/// and NVFP4 alike.
float kv_cache_scale(float amax);

/// The scales that a quantizer of the cache uses, from that number: FP8 the scale itself; NVFP4 a
/// sixth of it as the global scale.
formats::Scales kv_quantizer_scales(const formats::Format& format, float cache_scale);

}  // namespace lathe::quantization
