#pragma once

#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// quant_method "mxfp4", as gpt-oss has it: experts fused in NAME_blocks uint8 [E, N, K / 32, 16]
/// (two codes a byte, the even column in the low nibble) and NAME_scales uint8 [E, N, K / 32]
/// (exponents, biased by 127). They become weights [N, K] of one Linear an expert, E.NAME. See
/// read_quantization.
QuantizedSource read_mxfp4(const ConfigReader& section, TensorStore& store, at::ScalarType dtype);

}  // namespace lathe::frontends
