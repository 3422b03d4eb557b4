#include "trace/shared_inputs.h"

#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "trace/flat_graph.h"

namespace lathe::trace {
namespace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

/// The value that a call reads as its first argument; kNoValue for a constant or nothing.
ValueId value_read(const FlatGraph& graph, const FlatNode& call) {
  return call.node->args.empty() ? kNoValue : graph.value(call, call.node->args[0]).id;
}

std::string producer_path(const FlatGraph& graph, ValueId value) {
  const FlatNode& node = graph.node(value);
  return node.kind == NodeKind::kCallModule ? graph.path(node) : std::string();
}

const Node* first_tensor_argument(const Node& node) {
  for (const Argument& argument : node.args) {
    if (const Node* input = argument.node()) return input;
  }
  return nullptr;
}

}  // namespace

std::vector<SharedInput> shared_inputs(const ir::Module& root,
                                       const std::function<bool(const ir::Module&)>& wanted) {
  check_internal(root.is_composite(), "a model without a graph has no values to share");
  const FlatGraph graph = FlatGraph::of("", root, wanted);
  std::vector<SharedInput> groups;
  std::vector<ValueId> values;
  std::unordered_map<ValueId, size_t> group_of;
  std::unordered_map<ValueId, size_t> reads;
  std::unordered_set<const ir::Module*> seen;
  for (const FlatNode& node : graph.nodes()) {
    for (const ValueId input : node.inputs) ++reads[input];
    if (node.kind != NodeKind::kCallModule || !wanted(*node.callee)) continue;
    const ValueId value = value_read(graph, node);
    if (value != kNoValue) --reads[value];
    if (!seen.insert(node.callee).second) continue;
    const auto [entry, is_new] = group_of.emplace(value, groups.size());
    if (value == kNoValue || is_new) {
      entry->second = groups.size();
      groups.push_back({value == kNoValue ? "" : producer_path(graph, value), {}});
      values.push_back(value);
    }
    groups[entry->second].readers.push_back(graph.path(node));
  }
  for (size_t i = 0; i < groups.size(); ++i)
    groups[i].alone = values[i] != kNoValue && reads[values[i]] == 0;
  return groups;
}

std::string producer_of(const ir::Module& module, const ir::Node& node,
                        const std::function<bool(const ir::Module&)>& wanted) {
  for (const Node* current = &node; current != nullptr; current = first_tensor_argument(*current)) {
    if (current->kind == NodeKind::kCallModule && wanted(module.at(current->target)))
      return current->target;
  }
  return "";
}

}  // namespace lathe::trace
