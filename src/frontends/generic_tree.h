#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "frontends/tensor_store.h"
#include "ir/module.h"

namespace lathe::frontends {

/// The tree that the dotted names of the tensors spell, without graphs. A module that owns a weight
/// [N, K] is a "Linear", or an "Embedding" if its name says so; every other module is of type
/// "Parameters". Experts fused in gate_up_proj [E, 2 N, K] and down_proj [E, K, N] become Linears
/// of each expert. Floating-point parameters keep their dtype, or get options.dtype; all tensors
/// are booked as used. DataError, naming options.source_name, for names with empty parts or too
/// many of them.
struct GenericTreeOptions {
  std::string source_name;
  std::optional<at::ScalarType> dtype;
  /// GPT-2 and its kin store the weights of c_attn, c_fc and c_proj as [K, N]: these become
  /// "Conv1D".
  bool conv1d_weights = false;
};
/// Whether a module of such a model is one of these layers, by the last part of its path.
bool is_conv1d_name(std::string_view path);

ir::ModulePtr build_generic_tree(TensorStore& store, const GenericTreeOptions& options);

}  // namespace lathe::frontends
