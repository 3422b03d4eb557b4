#pragma once

#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// quant_method "awq" (AutoAWQ), format "gemm", 4 bits: qweight int32 [K, N / 8], qzeros int32
/// [K / g, N / 8], scales [K / g, N]; the columns of a word lie in the order 0, 2, 4, 6, 1, 3,
/// 5, 7. See read_quantization.
QuantizedSource read_awq(const ConfigReader& section, TensorStore& store, at::ScalarType dtype);

}  // namespace lathe::frontends
