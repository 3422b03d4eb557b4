#pragma once

#include <c10/core/ScalarType.h>

#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Reads a checkpoint of compressed-tensors (`section`: quantization_config of config.json), as
/// Lathe, llm-compressor and the library itself write them: pack-quantized (zero points and
/// activation order included), int-, float- and naive-quantized, nvfp4-, mxfp4- and
/// mxfp6-pack-quantized, mxfp8-quantized, several of them in one model, and the scales of a KV
/// cache. See read_quantization. UserError: sparse formats, transforms, quantized outputs.
QuantizedSource read_compressed_tensors(const ConfigReader& section, TensorStore& store,
                                        at::ScalarType dtype);

}  // namespace lathe::frontends
