#pragma once

#include <c10/core/ScalarType.h>

#include <optional>
#include <string_view>

#include "lathe/dtype.h"

namespace lathe::ir {

/// LibTorch's scalar type of a dtype, and back; InternalError for types that files cannot hold.
at::ScalarType to_scalar_type(DType dtype);
DType to_dtype(at::ScalarType type);

/// The scalar type of a text-form name ("bf16"), if there is one.
std::optional<at::ScalarType> scalar_type_from_name(std::string_view name);

}  // namespace lathe::ir
