#pragma once

#include <string>
#include <vector>

#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Takes the scales of KV caches out of the store: "<attention>.k_proj.k_scale", or
/// "<attention>.k_scale", and likewise for values.
std::vector<QuantizedCache> read_cache_scales(TensorStore& store,
                                              std::vector<std::string>& problems);

}  // namespace lathe::frontends
