#pragma once

#include <ATen/core/function_schema.h>

#include <span>
#include <string_view>

#include "ops/leaf_table.h"

namespace lathe::ops {

/// A leaf whose forward is one operator. The operator's arguments are, by their names in its
/// schema: the module's parameters, its attributes (an absent one has the schema's default), and in
/// order whatever tensors are left: the call's arguments.
struct OperatorLeaf {
  std::string_view type;        // "Conv2d"
  std::string_view op;          // "aten::conv2d.padding"
  std::string_view parameters;  // names of arguments that are parameters: "weight bias"
  std::string_view ignored;     // names of arguments that change no value: "cudnn_enabled"
};

/// All of them; a type may have several operators: see operator_of.
std::span<const OperatorLeaf> operator_leaves();

/// The operator that runs this leaf: that of its attribute `operator`, or the first of its type
/// that takes all of its attributes. InternalError if there is none.
std::string_view operator_of(const ir::Module& module);

/// The leaf's attributes as arguments of its operator, by name.
std::vector<std::pair<std::string, ir::Argument>> operator_arguments(const ir::Module& module);

/// Whether `name` is one of the words of `list`.
bool has_word(std::string_view list, std::string_view name);

/// Adds the types of operator_leaves(), but for those that have faster functions of their own.
void add_operator_leaves(LeafTable& table);

}  // namespace lathe::ops
