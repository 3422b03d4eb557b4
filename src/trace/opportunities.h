#pragma once

#include <functional>

#include "lathe/trace_types.h"
#include "trace/flat_graph.h"

namespace lathe::trace {

/// Modules with a weight that is multiplied: linears and convolutions of any layout.
bool has_product(const ir::Module& module);

/// What can be fused: conv-bn, conv-relu, bn-relu; norm-linear, whose scales can be moved; qkv and
/// gate-up, and other linears of one value.
std::vector<Opportunity> find_fusions(const FlatGraph& graph,
                                      const std::vector<SharingGroup>& sharing);

/// One entry for each kind of shape: modules whose weights can be quantized, and which formats do
/// not fit, with the reason.
std::vector<Opportunity> find_quantizable(const ir::Module& model,
                                          const std::function<bool(const ir::Module&)>& is_called);

}  // namespace lathe::trace
