#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "quantization/conversion.h"

namespace lathe::quantization {

/// The layers of a model's experts whose inputs have one scale: the same projection of all experts
/// of a block, as engines run them in one kernel, and so that an expert which saw no token has the
/// scale of its siblings. By index into `layers`. Experts are what a graph calls on rows that
/// lathe::expert_rows gives.
std::vector<std::vector<size_t>> expert_input_groups(const ir::Module& root,
                                                     const std::vector<QuantizedLayer>& layers);

}  // namespace lathe::quantization
