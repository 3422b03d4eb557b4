#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace lathe::ir {

struct Node;

/// What a node is given: the value of an earlier node, a constant, or a list of arguments.
class Argument {
 public:
  using List = std::vector<Argument>;
  using Value = std::variant<std::monostate, bool, int64_t, double, std::string, at::ScalarType,
                             const Node*, List>;

  Argument() = default;  // None
  Argument(bool value) : value_(value) {}
  Argument(int value) : value_(static_cast<int64_t>(value)) {}
  Argument(int64_t value) : value_(value) {}
  Argument(double value) : value_(value) {}
  Argument(std::string value) : value_(std::move(value)) {}
  Argument(const char* value) : value_(std::string(value)) {}
  Argument(at::ScalarType value) : value_(value) {}
  Argument(const Node* node) : value_(node) {}
  Argument(Node* node) : value_(static_cast<const Node*>(node)) {}
  Argument(List list) : value_(std::move(list)) {}

  const Value& value() const { return value_; }
  bool is_none() const { return std::holds_alternative<std::monostate>(value_); }
  /// The node it refers to, or null for anything else.
  const Node* node() const;

  /// Calls visit(node) for each node it refers to, lists included.
  template <typename Visit>
  void for_each_node(const Visit& visit) const {
    if (const Node* referenced = node()) visit(referenced);
    if (const auto* list = std::get_if<List>(&value_)) {
      for (const Argument& item : *list) item.for_each_node(visit);
    }
  }

  /// Replaces every reference to `from` by `to`.
  void replace(const Node* from, const Node* to);

  friend bool operator==(const Argument&, const Argument&) = default;

 private:
  Value value_;
};

/// FX's vocabulary.
enum class NodeKind { kPlaceholder, kGetAttr, kCallOp, kCallModule, kOutput };

/// One step of a Graph.
///   placeholder  target: the input's name; args[0], if there is one, its default
///   get_attr     target: path of a parameter or buffer, relative to the module
///   call_op      target: an operator of the dispatcher ("aten::add.Tensor") or "builtin::getitem"
///   call_module  target: path of a child
///   output       args[0]: the value; or kwargs: values by name
struct Node {
  NodeKind kind;
  std::string name;  // unique in the graph
  std::string target;
  std::vector<Argument> args;
  std::vector<std::pair<std::string, Argument>> kwargs;

  template <typename Visit>
  void for_each_input(const Visit& visit) const {
    for (const Argument& argument : args) argument.for_each_node(visit);
    for (const auto& [name, argument] : kwargs) argument.for_each_node(visit);
  }
  void replace_input(const Node* from, const Node* to);
};

/// A straight list of nodes in the order in which they run. Modules share a Graph as
/// shared_ptr<const Graph>; to rewrite one, clone it.
class Graph {
 public:
  Graph() = default;
  Graph(Graph&&) = default;
  Graph& operator=(Graph&&) = default;

  Graph clone() const;

  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  /// The node of that name, or null.
  const Node* find(std::string_view name) const;
  std::vector<const Node*> placeholders() const;
  /// The output node; null while the graph is being built.
  const Node* output() const;
  /// Nodes that read `node`, in order.
  std::vector<Node*> users(const Node* node);

  /// Appends, or inserts before/after a node of this graph. An empty name is made from the target;
  /// one that is taken gets a number; characters that are not of words become '_'.
  Node* append(Node node);
  Node* insert_before(const Node* position, Node node);
  Node* insert_after(const Node* position, Node node);
  /// The node must have no users.
  void erase(const Node* node);
  /// All users of `from` but `except` read `to` instead.
  void replace_uses(const Node* from, const Node* to, const Node* except = nullptr);

 private:
  size_t index_of(const Node* node) const;
  Node* insert_at(size_t index, Node node);
  std::string unique_name(const std::string& wanted);

  std::vector<std::unique_ptr<Node>> nodes_;
  std::unordered_map<std::string, const Node*> by_name_;
  std::unordered_map<std::string, int> next_number_;  // of names that were taken, a free number
};

using GraphPtr = std::shared_ptr<const Graph>;

/// Writes a graph down: builder.output(builder.call_module("norm", {x})).
class GraphBuilder {
 public:
  Node* placeholder(std::string name);
  /// An input that may be left out; it is None then.
  Node* optional_placeholder(std::string name);
  Node* get_attr(std::string path);
  Node* call_op(std::string op, std::vector<Argument> args,
                std::vector<std::pair<std::string, Argument>> kwargs = {}, std::string name = {});
  Node* call_module(std::string path, std::vector<Argument> args);
  void output(Argument value);
  void named_output(std::vector<std::pair<std::string, Argument>> values);

  /// The finished graph; the builder is empty afterwards.
  GraphPtr build();

 private:
  Graph graph_;
};

}  // namespace lathe::ir
