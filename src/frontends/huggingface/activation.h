#pragma once

#include <string>
#include <string_view>

#include "ir/module.h"

namespace lathe::frontends {

/// The module for a name of hidden_act ("silu", "gelu_pytorch_tanh", ...): a leaf, or a composite
/// of one operator or two; null if there is none.
ir::ModulePtr make_activation(std::string_view name);

/// Whether make_activation knows the name.
bool is_activation(std::string_view name);

/// The names, for messages.
std::string supported_activations();

}  // namespace lathe::frontends
