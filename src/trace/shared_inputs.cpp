#include "trace/shared_inputs.h"

#include <unordered_map>
#include <unordered_set>

#include "base/error.h"

namespace lathe::trace {
namespace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

/// The identity of a value, across the graphs that it is handed through; 0 is none.
using ValueId = size_t;

class Walker {
 public:
  explicit Walker(const std::function<bool(const ir::Module&)>& wanted) : wanted_(wanted) {}

  void walk_root(const ir::Module& root) {
    std::vector<ValueId> arguments;
    for (size_t i = 0; i < root.graph->placeholders().size(); ++i) arguments.push_back(fresh(""));
    walk(root, "", arguments);
  }

  std::vector<SharedInput> groups() && { return std::move(groups_); }

 private:
  ValueId fresh(const std::string& producer) {
    producers_.push_back(producer);
    return producers_.size();
  }

  static ValueId value_of(const std::unordered_map<const Node*, ValueId>& values,
                          const Argument& argument) {
    const Node* node = argument.node();
    return node ? values.at(node) : 0;
  }

  /// Gives the identity of the graph's value.
  ValueId walk(const ir::Module& module, const std::string& path,
               const std::vector<ValueId>& arguments) {
    std::unordered_map<const Node*, ValueId> values;
    size_t next = 0;
    for (const auto& node : module.graph->nodes()) {
      switch (node->kind) {
        case NodeKind::kPlaceholder:
          values[node.get()] = next < arguments.size() ? arguments[next] : 0;
          ++next;
          break;
        case NodeKind::kCallModule:
          values[node.get()] = call(module, path, *node, values);
          break;
        case NodeKind::kOutput:
          return node->args.empty() ? 0 : value_of(values, node->args[0]);
        default:
          values[node.get()] = fresh("");
      }
    }
    throw_internal("{}: the graph has no output", path);
  }

  ValueId call(const ir::Module& module, const std::string& path, const Node& node,
               const std::unordered_map<const Node*, ValueId>& values) {
    const ir::Module& callee = module.at(node.target);
    const std::string callee_path = ir::join_path(path, node.target);
    if (wanted_(callee)) {
      add_reader(callee, callee_path, node.args.empty() ? 0 : value_of(values, node.args[0]));
      return fresh(callee_path);
    }
    if (!callee.is_composite()) return fresh(callee_path);
    std::vector<ValueId> arguments;
    for (const Argument& argument : node.args) arguments.push_back(value_of(values, argument));
    return walk(callee, callee_path, arguments);
  }

  void add_reader(const ir::Module& callee, const std::string& path, ValueId value) {
    if (!seen_.insert(&callee).second) return;
    const auto [entry, is_new] = group_of_.emplace(value, groups_.size());
    if (value == 0 || is_new) {
      entry->second = groups_.size();
      groups_.push_back({value == 0 ? "" : producers_[value - 1], {}});
    }
    groups_[entry->second].readers.push_back(path);
  }

  const std::function<bool(const ir::Module&)>& wanted_;
  std::vector<std::string> producers_;  // by value id - 1
  std::vector<SharedInput> groups_;
  std::unordered_map<ValueId, size_t> group_of_;
  std::unordered_set<const ir::Module*> seen_;
};

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
  Walker walker(wanted);
  walker.walk_root(root);
  return std::move(walker).groups();
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
