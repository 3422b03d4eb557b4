#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>
#include <vector>

#include "frontends/huggingface/compressed_schemes.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Checks the tensors of one module against its scheme and each other, and puts the decoded weight
/// in their place in the store: "<path>.weight" has then the shape [N, K] and `dtype`. Adds to
/// `problems` what is missing or of the wrong shape, dtype or value; there is no result then.
std::optional<QuantizedLinear> decode_compressed(const std::string& path,
                                                 const CompressedScheme& scheme,
                                                 at::ScalarType dtype, TensorStore& store,
                                                 std::vector<std::string>& problems);

}  // namespace lathe::frontends
