#pragma once

#include <cstdint>

#include "ir/module.h"

namespace lathe::ir {

/// A tree of modules with everything that the text form has: attributes of each type, parameters
/// (some tied), buffers, graphs (some shared) with every kind of node and argument, blocks. The
/// same seed gives the same tree.
ModulePtr random_module(uint32_t seed);

}  // namespace lathe::ir
