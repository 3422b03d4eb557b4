#include "trace/flat_graph.h"

#include <algorithm>

#include "base/error.h"

namespace lathe::trace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

namespace {

constexpr size_t kMostNodes = 20'000'000;
constexpr int kDeepestCall = 200;

void add_inputs(const FlatValue& value, std::vector<ValueId>& inputs) {
  if (value.is_value()) {
    // Arguments are few, so that a search is faster than a set; cat has many, all of them new.
    if (std::find(inputs.begin(), inputs.end(), value.id) == inputs.end())
      inputs.push_back(value.id);
  } else if (value.items) {
    for (const FlatValue& item : *value.items) add_inputs(item, inputs);
  }
}

}  // namespace

class Flattener {
 public:
  Flattener(FlatGraph& graph, const FlatGraph::IsLeaf& is_leaf)
      : graph_(graph), is_leaf_(is_leaf) {}

  void flatten_root(const std::string& path, const ir::Module& root) {
    if (is_opaque(root)) return flatten_leaf(path, root);
    std::vector<FlatValue> arguments;
    const uint32_t scope = add_scope(path, root);
    for (const Node* placeholder : root.graph->placeholders())
      arguments.push_back(append({NodeKind::kPlaceholder, scope, placeholder}));
    flatten_graph(scope, root, arguments, 0);
    const Node* output = root.graph->output();
    FlatNode node{NodeKind::kOutput, scope, output};
    output->for_each_input([&](const Node* input) {
      add_inputs(graph_.scopes_[scope].values.at(input), node.inputs);
    });
    append(std::move(node));
  }

 private:
  bool is_opaque(const ir::Module& module) const {
    return !module.is_composite() || is_leaf_(module);
  }

  uint32_t add_scope(const std::string& path, const ir::Module& module) {
    graph_.scopes_.push_back({path, &module});
    return static_cast<uint32_t>(graph_.scopes_.size() - 1);
  }

  FlatValue append(FlatNode node) {
    if (graph_.nodes_.size() >= kMostNodes) {
      throw_data("{}: modules call each other so often that the model has more than {} nodes",
                 graph_.scopes_[node.scope].path, kMostNodes);
    }
    graph_.nodes_.push_back(std::move(node));
    return {static_cast<ValueId>(graph_.nodes_.size() - 1)};
  }

  /// A leaf that is traced alone: input, call, output.
  void flatten_leaf(const std::string& path, const ir::Module& root) {
    const uint32_t scope = add_scope(path, root);
    const FlatValue input = append({NodeKind::kPlaceholder, scope});
    const FlatValue call = append({NodeKind::kCallModule, scope, nullptr, &root, {input.id}});
    append({NodeKind::kOutput, scope, nullptr, nullptr, {call.id}});
  }

  FlatValue flatten_graph(uint32_t scope, const ir::Module& module,
                          const std::vector<FlatValue>& arguments, int depth) {
    if (depth > kDeepestCall) {
      throw_data("{}: modules call each other more than {} deep", graph_.scopes_[scope].path,
                 kDeepestCall);
    }
    size_t next = 0;
    for (const auto& node : module.graph->nodes()) {
      if (node->kind == NodeKind::kOutput) return output_value(scope, *node);
      FlatValue value;
      if (node->kind == NodeKind::kPlaceholder) {
        if (next < arguments.size()) value = arguments[next];
        ++next;
      } else {
        value = flatten_node(scope, module, *node, depth);
      }
      graph_.scopes_[scope].values.emplace(node.get(), std::move(value));
    }
    throw_internal("{}: the graph has no output", graph_.scopes_[scope].path);
  }

  FlatValue output_value(uint32_t scope, const Node& output) {
    if (!output.args.empty()) return argument_value(scope, output.args[0]);
    auto items = std::make_shared<std::vector<FlatValue>>();
    for (const auto& [name, argument] : output.kwargs)
      items->push_back(argument_value(scope, argument));
    return {kNoValue, std::move(items)};
  }

  FlatValue argument_value(uint32_t scope, const Argument& argument) {
    if (const Node* node = argument.node()) return graph_.scopes_[scope].values.at(node);
    const auto* list = std::get_if<Argument::List>(&argument.value());
    if (list == nullptr) return {};
    auto items = std::make_shared<std::vector<FlatValue>>();
    for (const Argument& item : *list) items->push_back(argument_value(scope, item));
    return {kNoValue, std::move(items)};
  }

  FlatValue flatten_node(uint32_t scope, const ir::Module& module, const Node& node, int depth) {
    if (node.kind == NodeKind::kCallModule) {
      const ir::Module& callee = module.at(node.target);
      if (!is_opaque(callee)) return flatten_call(scope, callee, node, depth);
      return append_node(scope, node, &callee);
    }
    if (node.target == "builtin::getitem") {
      if (const FlatValue* item = known_item(scope, node)) return *item;
    }
    return append_node(scope, node, nullptr);
  }

  FlatValue append_node(uint32_t scope, const Node& node, const ir::Module* callee) {
    FlatNode flat{node.kind, scope, &node, callee};
    node.for_each_input([&](const Node* input) {
      add_inputs(graph_.scopes_[scope].values.at(input), flat.inputs);
    });
    return append(std::move(flat));
  }

  FlatValue flatten_call(uint32_t scope, const ir::Module& callee, const Node& node, int depth) {
    std::vector<FlatValue> arguments;
    for (const Argument& argument : node.args) arguments.push_back(argument_value(scope, argument));
    const uint32_t inner =
        add_scope(ir::join_path(graph_.scopes_[scope].path, node.target), callee);
    return flatten_graph(inner, callee, arguments, depth + 1);
  }

  /// The item of a tuple whose items are known one by one; null if they are not.
  const FlatValue* known_item(uint32_t scope, const Node& node) const {
    if (node.args.size() < 2 || node.args[0].node() == nullptr) return nullptr;
    const FlatValue& tuple = graph_.scopes_[scope].values.at(node.args[0].node());
    const auto* index = std::get_if<int64_t>(&node.args[1].value());
    if (!tuple.items || index == nullptr) return nullptr;
    const auto size = static_cast<int64_t>(tuple.items->size());
    const int64_t position = *index < 0 ? *index + size : *index;
    if (position < 0 || position >= size) return nullptr;
    return &(*tuple.items)[static_cast<size_t>(position)];
  }

  FlatGraph& graph_;
  const FlatGraph::IsLeaf& is_leaf_;
};

FlatGraph FlatGraph::of(const std::string& path, const ir::Module& root, const IsLeaf& is_leaf) {
  FlatGraph graph;
  Flattener(graph, is_leaf).flatten_root(path, root);
  return graph;
}

FlatValue FlatGraph::value(const FlatNode& node, const Argument& argument) const {
  const Node* referenced = argument.node();
  return referenced == nullptr ? FlatValue() : scope(node).values.at(referenced);
}

std::string FlatGraph::path(const FlatNode& node) const {
  const std::string& path = scope(node).path;
  const bool has_own = node.node != nullptr &&
                       (node.kind == NodeKind::kCallModule || node.kind == NodeKind::kGetAttr);
  return has_own ? ir::join_path(path, node.node->target) : path;
}

const std::string& FlatGraph::op(const FlatNode& node) const {
  static const std::string kNone;
  return node.kind == NodeKind::kCallOp ? node.node->target : kNone;
}

std::vector<std::vector<ValueId>> readers_of(const FlatGraph& graph) {
  std::vector<std::vector<ValueId>> readers(graph.nodes().size());
  for (ValueId id = 0; id < graph.nodes().size(); ++id) {
    for (const ValueId input : graph.node(id).inputs) readers[input].push_back(id);
  }
  return readers;
}

}  // namespace lathe::trace
