#pragma once

#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// quant_method "fp8": weights in E4M3 with a float scale for each block ("weight_block_size", as
/// DeepSeek-V3 has it) or one a tensor. The scale is called weight_scale_inv, or weight_scale, and
/// is what codes are multiplied by. Inputs are quantized in blocks of the same width as they come,
/// or with a static input_scale (activation_scale). See read_quantization.
QuantizedSource read_fp8(const ConfigReader& section, TensorStore& store, at::ScalarType dtype);

}  // namespace lathe::frontends
