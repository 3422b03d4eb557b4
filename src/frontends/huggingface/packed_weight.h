#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <vector>

#include "frontends/huggingface/quant_algos.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Checks the tensors of one quantized Linear against its algorithm and each other, and puts the
/// decoded weight in their place in the store: "<path>.weight" has then the shape [N, K] and
/// `dtype`, and the scales are gone. Adds to `problems` what is missing, too much or of the wrong
/// shape, dtype or value; the store is unchanged then.
std::optional<QuantizedLinear> decode_linear(const std::string& path, const QuantAlgo& algo,
                                             std::optional<int64_t> group_size,
                                             at::ScalarType dtype, TensorStore& store,
                                             std::vector<std::string>& problems);

/// The value of a scale of shape [] or [1]; a problem if it is of another shape or dtype, not
/// finite or below 0.
std::optional<float> read_scalar(const StoredTensor& tensor, std::vector<std::string>& problems);

}  // namespace lathe::frontends
