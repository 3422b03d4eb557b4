#pragma once

#include <ATen/core/ivalue.h>

#include <span>
#include <string_view>

namespace lathe::ops {

/// A function on numbers: sizes that depend on the input are computed with these.
using ScalarFunction = c10::IValue (*)(std::span<const c10::IValue>);

/// The function of a target such as "builtin::floordiv"; null if there is none. Python's meaning:
/// integers stay integers but for truediv; floordiv and mod round to minus infinity. DataError if
/// an argument is no number, a divisor is zero, or an integer overflows.
ScalarFunction find_scalar_function(std::string_view target);

}  // namespace lathe::ops
