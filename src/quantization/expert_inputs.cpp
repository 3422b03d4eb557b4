#include "quantization/expert_inputs.h"

#include <map>
#include <unordered_map>

namespace lathe::quantization {
namespace {

using ir::Node;
using ir::NodeKind;

constexpr std::string_view kExpertRows = "lathe::expert_rows";

/// Layers by their path below an expert: "gate_proj", "up_proj", "down_proj".
using Projections = std::map<std::string, std::vector<size_t>>;

void add_expert(const ir::Module& expert,
                const std::unordered_map<const ir::Module*, size_t>& index,
                Projections& projections) {
  for (const auto& [path, module] : ir::named_modules(expert)) {
    const auto layer = index.find(module);
    if (layer != index.end()) projections[path].push_back(layer->second);
  }
}

}  // namespace

bool calls_expert(const Node& node) {
  if (node.kind != NodeKind::kCallModule || node.args.empty()) return false;
  const Node* rows = node.args[0].node();
  return rows != nullptr && rows->kind == NodeKind::kCallOp && rows->target == kExpertRows;
}

std::vector<std::vector<size_t>> expert_input_groups(const ir::Module& root,
                                                     const std::vector<QuantizedLayer>& layers) {
  std::unordered_map<const ir::Module*, size_t> index;
  for (size_t i = 0; i < layers.size(); ++i) index.emplace(layers[i].module, i);
  std::vector<std::vector<size_t>> groups;
  for (const auto& [path, module] : ir::named_modules(root)) {
    if (!module->is_composite()) continue;
    Projections projections;
    for (const auto& node : module->graph->nodes()) {
      if (calls_expert(*node)) add_expert(module->at(node->target), index, projections);
    }
    for (auto& [name, group] : projections) groups.push_back(std::move(group));
  }
  return groups;
}

ir::GraphPtr graph_of_all_experts(const ir::Graph& graph) {
  ir::Graph all = graph.clone();
  std::vector<Node*> calls;
  for (const auto& node : all.nodes()) {
    if (calls_expert(*node)) calls.push_back(node.get());
  }
  if (calls.empty()) return nullptr;
  for (Node* call : calls) {
    const Node* rows = call->args[0].node();
    Node taken{NodeKind::kCallOp, rows->name, rows->target, rows->args, rows->kwargs};
    call->args[0] = rows->args.at(0);  // all tokens
    taken.args[0] = call;
    Node* added = all.insert_after(call, std::move(taken));
    all.replace_uses(call, added, added);
    if (all.users(rows).empty()) all.erase(rows);
  }
  return std::make_shared<const ir::Graph>(std::move(all));
}

}  // namespace lathe::quantization
