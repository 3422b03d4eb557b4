#pragma once

#include <string_view>

#include "ir/module.h"
#include "lathe/symbol.h"

namespace lathe::trace {

/// The registered type whose rule holds for a module: its own, or that of what its graph computes
/// (one operator on its own parameters: Linear, Conv2d, ...; a chain of children "0", "1", ...:
/// Sequential). "" if there is none.
std::string_view symbolic_type(const ir::Module& module, const SymRegistry& registry);

/// Whether a graph calls the module's children one after the other, each on the last one's value,
/// and does nothing else.
bool is_chain(const ir::Module& module);

/// Types of LibTorch that compute with their children by code of their own: the peer does not look
/// into them.
bool is_closed_composite(std::string_view type);

}  // namespace lathe::trace
