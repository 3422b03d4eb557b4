#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>

#include "frontends/torch_export/program.h"

namespace lathe::frontends::torch_export {

/// What the program's in-place operators change, judged by the aliases that the operators' schemas
/// declare.
struct Mutations {
  std::unordered_set<std::string> inputs;   // of the graph: parameters, buffers, the user's
  std::unordered_set<std::string> tensors;  // those of them that are parameters, by their names
  /// In-place nodes whose input is changed for nobody: neither it nor anything that shares memory
  /// with it is read later, but through the node.
  std::unordered_set<const FlatNode*> private_nodes;
};

Mutations find_mutations(const Program& program);

}  // namespace lathe::frontends::torch_export
