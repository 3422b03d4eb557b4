#pragma once

#include <optional>
#include <set>
#include <string_view>

namespace lathe::trace {

/// What an operator does to the dimensions of its tensors.
enum class OperatorClass {
  kOther,
  kUnary,          // the value has the dimensions of the first tensor
  kElementwise,    // all tensors have the same dimensions, or are broadcast
  kMean,           // mean over given dimensions
  kConcatenation,  // aten::cat
  kSizeOf,         // a size, dtype or device
  kAssertion,      // gives no value
};

/// "aten::add_.Tensor" is kElementwise.
OperatorClass operator_class(std::string_view target);

/// The dimensions that an operator of class kUnary, or a leaf of this type, leaves alone: nothing
/// if it is all of them.
struct Passthrough {
  std::optional<std::set<int64_t>> dims;
};
/// Nothing if it is not of class kUnary.
std::optional<Passthrough> operator_passthrough(std::string_view target);
/// The same for leaves without a rule: activations, pools, paddings, Dropout, Identity.
std::optional<Passthrough> module_passthrough(std::string_view type);

/// Whether it is a sum of two tensors.
bool is_sum(std::string_view target);

/// "aten::add_.Tensor" is "add": without namespace, overload and the mark of in-place operators.
std::string_view operator_name(std::string_view target);

}  // namespace lathe::trace
