#pragma once

#include <string>
#include <string_view>

#include "ir/model.h"

namespace lathe::testing {

/// Puts a parameter at its path, making the modules on the way: "model.layers.N" are blocks,
/// modules called *_proj or lm_head are Linear.
void put_parameter(ir::Module& root, std::string_view path, ir::ParameterPtr parameter);

/// Puts a parameter into the tree and into the list of the source's tensors.
void put_tensor(ir::Model& model, const std::string& name, ir::ParameterPtr parameter);

/// Paths of all *_proj modules.
std::vector<std::string> projection_paths(const ir::Model& model);

}  // namespace lathe::testing
