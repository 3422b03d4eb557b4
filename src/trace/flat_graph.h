#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/module.h"

namespace lathe::trace {

/// A value of a flat graph: the index of the node that gives it.
using ValueId = uint32_t;
inline constexpr ValueId kNoValue = ~ValueId{0};

/// What a node of a module's graph stands for once the graphs are joined: one value, a tuple of
/// them, or nothing (a constant, an input that was left out).
struct FlatValue {
  ValueId id = kNoValue;
  std::shared_ptr<const std::vector<FlatValue>> items = {};

  bool is_value() const { return id != kNoValue; }
};

/// One call of a module that was looked into.
struct FlatScope {
  std::string path;
  const ir::Module* module = nullptr;
  std::unordered_map<const ir::Node*, FlatValue> values = {};
};

struct FlatNode {
  ir::NodeKind kind;
  uint32_t scope = 0;
  const ir::Node* node = nullptr;      // null for a module that is traced as a leaf of its own
  const ir::Module* callee = nullptr;  // kCallModule
  std::vector<ValueId> inputs = {};    // in the order of the arguments, each once
};

/// The graphs of a module and of those that it calls, joined into one list of nodes in the order of
/// execution: inputs of the root, operators, parameters, calls of leaves, one output at the end. A
/// module that is called twice is there twice.
class FlatGraph {
 public:
  /// Whether a called module is not looked into. One without a graph never is.
  using IsLeaf = std::function<bool(const ir::Module&)>;

  /// DataError if modules call each other so often that the list would be too long.
  static FlatGraph of(const std::string& path, const ir::Module& root, const IsLeaf& is_leaf);

  const std::vector<FlatNode>& nodes() const { return nodes_; }
  const FlatNode& node(ValueId id) const { return nodes_[id]; }
  const FlatScope& scope(const FlatNode& node) const { return scopes_[node.scope]; }
  const std::vector<FlatScope>& scopes() const { return scopes_; }

  /// What an argument that is a node stands for in the scope of `node`.
  FlatValue value(const FlatNode& node, const ir::Argument& argument) const;
  /// The path of a call's module, of a parameter, or of the module whose graph has the node.
  std::string path(const FlatNode& node) const;
  /// "aten::add.Tensor"; "" for what is no operator.
  const std::string& op(const FlatNode& node) const;

 private:
  friend class Flattener;
  std::vector<FlatNode> nodes_;
  std::vector<FlatScope> scopes_;
};

/// A flat graph's readers: for each value the nodes that read it, in order.
std::vector<std::vector<ValueId>> readers_of(const FlatGraph& graph);

}  // namespace lathe::trace
