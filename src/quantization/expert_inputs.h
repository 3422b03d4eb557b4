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

/// Whether the node calls an expert: a module on rows that lathe::expert_rows gives.
bool calls_expert(const ir::Node& node);

/// The graph of a block of experts in which every expert sees every token, and the rows that the
/// router sends to it are taken from what it makes of them: the outputs stay what they are. Null if
/// the graph calls no experts.
ir::GraphPtr graph_of_all_experts(const ir::Graph& graph);

}  // namespace lathe::quantization
