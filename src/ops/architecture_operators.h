#pragma once

namespace torch {
class Library;
}

namespace lathe::ops {

/// Defines the operators that single architectures need: routing of experts, relative positions,
/// defaults of optional inputs (see leaf_types.md).
void define_architecture_operators(torch::Library& library);

}  // namespace lathe::ops
