#include "ir/verify.h"

#include <unordered_set>

#include "base/error.h"

namespace lathe::ir {
namespace {

void verify_node(const std::string& path, const Module& module, const Node& node) {
  const auto check = [&](bool condition, std::string_view fault) {
    check_internal(condition, "{}: node {} {}", path, node.name, fault);
  };
  const size_t inputs = node.args.size() + node.kwargs.size();
  switch (node.kind) {
    case NodeKind::kPlaceholder:
      node.for_each_input(
          [&](const Node*) { check(false, "has a default that is not a constant"); });
      return check(inputs == node.args.size() && inputs <= 1, "has more than one default");
    case NodeKind::kGetAttr:
      return check(module.find_parameter(node.target) != nullptr,
                   fmt::format("reads {}, which {} does not have", node.target, module.type));
    case NodeKind::kCallModule:
      check(node.kwargs.empty(), fmt::format("gives {} arguments by name", node.target));
      return check(module.find(node.target) != nullptr,
                   fmt::format("calls {}, which {} does not have", node.target, module.type));
    case NodeKind::kOutput:
      return check(node.args.empty() ? inputs > 0 : inputs == 1,
                   "needs one value, or values by name");
    case NodeKind::kCallOp:
      return;
  }
}

}  // namespace

void verify(const std::string& path, const Module& module, const Graph& graph) {
  const std::string& where = path.empty() ? module.type : path;
  check_internal(graph.output() != nullptr, "{}: the graph has no output at its end", where);
  std::unordered_set<const Node*> computed;
  std::unordered_set<std::string_view> names;
  for (const auto& node : graph.nodes()) {
    check_internal(names.insert(node->name).second, "{}: two nodes are named {}", where,
                   node->name);
    check_internal(node->kind != NodeKind::kOutput || node == graph.nodes().back(),
                   "{}: node {} is an output that is not last", where, node->name);
    node->for_each_input([&](const Node* input) {
      check_internal(computed.contains(input),
                     "{}: node {} reads a value that is not computed before it", where, node->name);
    });
    verify_node(where, module, *node);
    computed.insert(node.get());
  }
}

void verify_tree(const Module& root) {
  for (const auto& [path, module] : named_modules(root)) {
    if (module->graph) verify(path, *module, *module->graph);
  }
}

}  // namespace lathe::ir
