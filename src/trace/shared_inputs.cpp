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

/// The nodes of the first argument that has any: one, or those that are put together.
std::vector<const Node*> first_tensors(const Node& node) {
  std::vector<const Node*> inputs;
  for (const Argument& argument : node.args) {
    argument.for_each_node([&](const Node* input) { inputs.push_back(input); });
    if (!inputs.empty()) break;
  }
  return inputs;
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
  std::string producer;
  std::vector<const Node*> open = {&node};
  std::unordered_set<const Node*> seen;
  while (!open.empty()) {
    const Node* current = open.back();
    open.pop_back();
    if (!seen.insert(current).second) continue;
    if (current->kind == NodeKind::kCallModule && wanted(module.at(current->target))) {
      if (!producer.empty() && producer != current->target) return "";
      producer = current->target;
      continue;
    }
    const std::vector<const Node*> inputs = first_tensors(*current);
    if (inputs.empty()) return "";
    open.insert(open.end(), inputs.begin(), inputs.end());
  }
  return producer;
}

}  // namespace lathe::trace
