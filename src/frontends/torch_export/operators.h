#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>

#include "frontends/torch_export/program.h"
#include "ir/graph.h"

namespace lathe::frontends::torch_export {

/// What keeps a node from being run, for the module's `failed` attribute.
struct Untraceable {
  std::string reason;
};

/// The IR's name of a target: "torch.ops.aten.add.Tensor" is "aten::add.Tensor", "_operator.add"
/// "builtin::add". Untraceable if this LibTorch and Lathe have no such operator.
std::string operator_name(const std::string& target);

/// The operator of an IR name; nothing for functions on numbers.
std::optional<c10::OperatorHandle> find_operator(const std::string& op);

/// Whether an operator may be given the value as an argument of that type, as far as the program
/// says what it is.
bool fits(const Value& value, const c10::Type& type);

/// A constant of the program as an argument. Untraceable for what LibTorch's operators are not
/// given. A name is none.
ir::Argument constant_argument(const Value& value);

/// LibTorch's dtype of the schema's ScalarType.
std::optional<at::ScalarType> scalar_type_of_code(int64_t code);

}  // namespace lathe::frontends::torch_export
