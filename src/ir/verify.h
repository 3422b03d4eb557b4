#pragma once

#include <string>

#include "ir/module.h"

namespace lathe::ir {

/// Checks a graph against the module that it belongs to: names are unique, values are computed
/// before they are read, paths name children and parameters, children take positional arguments,
/// defaults are constants, the output is last and the only one. InternalError, with the module's
/// path and the node, otherwise. Operators are checked where they are bound (ops).
void verify(const std::string& path, const Module& module, const Graph& graph);

/// Every graph of the modules below and including `root`.
void verify_tree(const Module& root);

}  // namespace lathe::ir
