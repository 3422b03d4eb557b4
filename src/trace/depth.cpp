#include "trace/depth.h"

#include <algorithm>

#include "trace/operator_classes.h"

namespace lathe::trace {
namespace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

bool is_shape_preserving(const FlatNode& node, SymbolTable& table) {
  if (node.kind == NodeKind::kCallOp) {
    const auto passthrough = operator_passthrough(node.node->target);
    return passthrough && !passthrough->dims;
  }
  if (node.kind != NodeKind::kCallModule) return true;
  if (const auto passthrough = module_passthrough(node.callee->type)) return !passthrough->dims;
  const SymbolTable::Entry* entry = table.find(*node.callee);
  return entry != nullptr && entry->info.is_shape_preserving;
}

/// Whether a way leads from the output to an input over a sum and otherwise over nodes that keep
/// the shape.
bool is_residual(const FlatGraph& graph, SymbolTable& table) {
  if (graph.nodes().empty()) return false;
  const auto last = static_cast<ValueId>(graph.nodes().size() - 1);
  std::vector<std::pair<ValueId, bool>> queue = {{last, false}};
  std::vector<bool> seen(2 * graph.nodes().size(), false);
  for (size_t next = 0; next < queue.size(); ++next) {
    const auto [id, with_sum] = queue[next];
    if (with_sum && graph.node(id).kind == NodeKind::kPlaceholder) return true;
    for (const ValueId input : graph.node(id).inputs) {
      const bool sum = is_sum(graph.op(graph.node(input)));
      if (!sum && !is_shape_preserving(graph.node(input), table)) continue;
      const size_t state = 2 * input + (sum || with_sum ? 1 : 0);
      if (seen[state]) continue;
      seen[state] = true;
      queue.emplace_back(input, sum || with_sum);
    }
  }
  return false;
}

/// Modules that graphs reach into: they read parameters of them or call children of them by a path
/// that goes through them.
std::unordered_set<const ir::Module*> opened_modules(const ir::Module& model) {
  std::unordered_set<const ir::Module*> opened;
  for (const auto& [path, module] : ir::named_modules(model)) {
    if (!module->graph) continue;
    for (const auto& node : module->graph->nodes()) {
      if (node->kind != NodeKind::kCallModule && node->kind != NodeKind::kGetAttr) continue;
      const std::string_view target = node->target;
      for (size_t dot = target.find('.'); dot != target.npos; dot = target.find('.', dot + 1))
        opened.insert(module->find(target.substr(0, dot)));
    }
  }
  return opened;
}

/// Blocks whose values a Sequential gives its caller beside others: they are features by
/// themselves.
std::unordered_set<const ir::Module*> feature_blocks(const ir::Module& sequential) {
  std::unordered_set<const ir::Module*> blocks;
  const Node* output = sequential.graph ? sequential.graph->output() : nullptr;
  if (output == nullptr) return blocks;
  std::vector<const Node*> values;
  output->for_each_input([&](const Node* node) { values.push_back(node); });
  if (values.size() < 2) return blocks;
  for (const Node* node : values) {
    if (node->kind == NodeKind::kCallModule) blocks.insert(sequential.find(node->target));
  }
  return blocks;
}

}  // namespace

void find_skippable_blocks(const ir::Module& model, const GraphCollection& graphs,
                           SymbolTable& table) {
  const auto opened = opened_modules(model);
  for (SymbolTable::Entry& entry : table.entries()) {
    auto* depth = dynamic_cast<SymDepth*>(entry.info.find("depth"));
    if (depth == nullptr || depth->is_constant()) continue;
    const auto features = feature_blocks(*entry.module);
    int64_t index = -1;
    for (const auto& [name, block] : entry.module->children) {
      if (++index >= depth->max_depth()) break;
      if (opened.contains(block.get()) || features.contains(block.get())) continue;
      const FlatGraph graph = graphs.flat_graph({ir::join_path(entry.path, name), block.get()});
      depth->set_skippable(index, is_residual(graph, table));
    }
    if (depth->skippable().empty()) depth->disable();
  }
}

}  // namespace lathe::trace
