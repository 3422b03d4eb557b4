#pragma once

#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// quant_method "gptq" (GPTQModel, AutoGPTQ), 2, 4 or 8 bits, both formats of zero points, any
/// order of activations: qweight int32 [K / p, N], qzeros int32 [K / g, N / p], scales [K / g, N],
/// g_idx [K], p values in a word. See read_quantization.
QuantizedSource read_gptq(const ConfigReader& section, TensorStore& store, at::ScalarType dtype);

}  // namespace lathe::frontends
