#pragma once

#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <vector>

#include "ops/leaf_table.h"
#include "trace/flat_graph.h"

namespace lathe::trace {

/// Runs the nodes of a flat graph on tensors without data, for the shapes of their values.
class ShapeRun {
 public:
  explicit ShapeRun(const FlatGraph& graph);

  /// A tensor without data.
  static at::Tensor empty(const std::vector<int64_t>& sizes, at::ScalarType dtype);

  /// The value of a node, whose inputs were run or set; None if it cannot be known.
  const c10::IValue& run(ValueId id);
  void set(ValueId id, c10::IValue value) { values_[id] = std::move(value); }
  const c10::IValue& value(ValueId id) const { return values_[id]; }
  const c10::IValue& value(const FlatNode& node, const ir::Argument& argument) const;

  /// The arguments of an operator as its schema has them, defaults filled in; empty if they cannot
  /// be known.
  std::vector<c10::IValue> arguments(const FlatNode& node) const;
  /// The schema of "aten::add.Tensor"; null if there is no such operator.
  static const c10::FunctionSchema* find_schema(const std::string& target);
  /// Its names of them.
  static std::vector<std::string> argument_names(const FlatNode& node);

 private:
  c10::IValue run_operator(const FlatNode& node) const;
  c10::IValue run_leaf(const FlatNode& node) const;

  const FlatGraph& graph_;
  ops::LeafTable leaves_;
  std::vector<c10::IValue> values_;
};

}  // namespace lathe::trace
