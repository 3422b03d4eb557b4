#include "trace/graph_collection.h"

#include <fmt/format.h>

#include "base/error.h"
#include "trace/structure.h"

namespace lathe::trace {
namespace {

using ir::Node;
using ir::NodeKind;

constexpr int kDeepestCall = 200;

/// A called child whose value nobody reads, or null. A graph that gives nothing has one, whose
/// value its caller dropped.
const Node* dropped_call(const ir::Graph& graph) {
  const Node* output = graph.output();
  if (output->args.size() == 1 && output->args[0].is_none()) return nullptr;
  std::unordered_set<const Node*> read;
  for (const auto& node : graph.nodes())
    node->for_each_input([&](const Node* input) { read.insert(input); });
  for (const auto& node : graph.nodes()) {
    if (node->kind == NodeKind::kCallModule && !read.contains(node.get())) return node.get();
  }
  return nullptr;
}

}  // namespace

GraphCollection GraphCollection::recursive_trace(const ir::Module& model,
                                                 const TraceOptions& options) {
  GraphCollection collection(options);
  std::vector<Root> queue = {{"", &model}};
  std::unordered_set<const ir::Module*> queued = {&model};
  for (size_t next = 0; next < queue.size(); ++next) {
    const Root root = queue[next];
    collection.trace(root);
    for (const auto& [path, module] : ir::named_modules(*root.module)) {
      if (!collection.is_failed(*module)) continue;
      for (const auto& [name, child] : module->children) {
        if (!queued.insert(child.get()).second) continue;
        queue.push_back({ir::join_path(ir::join_path(root.path, path), name), child.get()});
      }
    }
  }
  return collection;
}

void GraphCollection::trace(const Root& root) {
  roots_.push_back(root);
  visit(*root.module, 0);
}

void GraphCollection::visit(const ir::Module& module, int depth) {
  visited_.insert(&module);
  const bool failed = module.has_attribute("failed");
  if ((!failed && is_plain_leaf(module)) || !entered_.insert(&module).second) return;
  if (depth > kDeepestCall) throw_data("modules call each other more than {} deep", kDeepestCall);
  std::string failure = find_failure(module);
  if (module.graph) {
    for (const auto& node : module.graph->nodes()) {
      if (node->kind == NodeKind::kCallModule) visit(module.at(node->target), depth + 1);
    }
  }
  if (!failure.empty()) failures_.emplace(&module, std::move(failure));
}

/// Not looked into, and not a failure.
bool GraphCollection::is_plain_leaf(const ir::Module& module) const {
  if (options_.registry != nullptr) {
    if (options_.registry->is_leaf(module.type)) return true;
    const std::string_view type = symbolic_type(module, *options_.registry);
    if (!type.empty() && options_.registry->is_leaf(type)) return true;
  }
  if (options_.as_peer && is_closed_composite(module.type)) return true;
  return !module.is_composite() && module.children.empty();
}

bool GraphCollection::is_leaf(const ir::Module& module) const {
  return is_plain_leaf(module) || is_failed(module);
}

std::string GraphCollection::find_failure(const ir::Module& module) const {
  if (const ir::Attribute* failed = module.attributes.find("failed")) {
    const auto* reason = std::get_if<std::string>(failed);
    return reason == nullptr ? "the front end failed" : *reason;
  }
  if (!module.is_composite()) return fmt::format("{} has no graph", module.type);
  if (!options_.as_peer) return {};
  const Node* dropped = dropped_call(*module.graph);
  if (dropped == nullptr) return {};
  return fmt::format("{} calls {} and drops its value: the program that was exported decided by it",
                     module.type, dropped->target);
}

std::string_view GraphCollection::failure_msg(const ir::Module& module) const {
  const auto found = failures_.find(&module);
  return found == failures_.end() ? std::string_view() : found->second;
}

FlatGraph GraphCollection::flat_graph(const Root& root) const {
  if (is_failed(*root.module)) return {};
  return FlatGraph::of(root.path, *root.module,
                       [this](const ir::Module& module) { return is_leaf(module); });
}

}  // namespace lathe::trace
