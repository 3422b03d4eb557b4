#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "frontends/torch_export/calls.h"
#include "ir/module.h"

namespace lathe::frontends::torch_export {

/// A call that a leaf module can be run for.
struct RecoveredLeaf {
  std::string type = {};  // if it is not that of the call's class
  ir::NamedList<ir::Attribute> attributes;
  std::vector<std::string> arguments;  // values
  std::vector<std::string> results;    // values that it gives, in order
};

/// What recover_leaf asks about values.
struct LeafContext {
  /// The parameter's path relative to the call's module ("weight"); "" for other values.
  std::function<std::string(const std::string&)> parameter;
  /// What the program says of a tensor; null for other values.
  std::function<const TensorMeta*(const std::string&)> tensor;
  /// Whether nobody can tell if the in-place operator, a node of the call, did not change its
  /// input.
  std::function<bool(const FlatNode&)> may_copy;
};

/// "Conv2d" for "torch.nn.modules.conv.Conv2d"; "" for classes that are not torch.nn's.
std::string torch_nn_type(const std::string& class_name);

/// The type of torch.nn that has parameters and whose forward is what the call's nodes do with the
/// parameters of the call's module; "" if there is none.
std::string guess_leaf_type(const Call& call);

/// The leaf of type `type` (of torch.nn) whose forward is what the call's nodes do, or nothing if
/// they do anything else.
std::optional<RecoveredLeaf> recover_leaf(const std::string& type, const Call& call,
                                          const LeafContext& context);

}  // namespace lathe::frontends::torch_export
