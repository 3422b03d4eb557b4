#include "ir/scalar_types.h"

#include <array>

#include "base/error.h"
#include "ir/text.h"

namespace lathe::ir {
namespace {

struct TypeRow {
  DType dtype;
  at::ScalarType type;
  std::string_view name;
};

constexpr std::array kTypes = {
    TypeRow{DType::kBool, at::kBool, "bool"},
    TypeRow{DType::kU8, at::kByte, "u8"},
    TypeRow{DType::kI8, at::kChar, "i8"},
    TypeRow{DType::kI16, at::kShort, "i16"},
    TypeRow{DType::kU16, at::ScalarType::UInt16, "u16"},
    TypeRow{DType::kI32, at::kInt, "i32"},
    TypeRow{DType::kU32, at::ScalarType::UInt32, "u32"},
    TypeRow{DType::kI64, at::kLong, "i64"},
    TypeRow{DType::kU64, at::ScalarType::UInt64, "u64"},
    TypeRow{DType::kF8E4M3, at::ScalarType::Float8_e4m3fn, "f8_e4m3"},
    TypeRow{DType::kF8E5M2, at::ScalarType::Float8_e5m2, "f8_e5m2"},
    TypeRow{DType::kF8E8M0, at::ScalarType::Float8_e8m0fnu, "f8_e8m0"},
    TypeRow{DType::kF16, at::kHalf, "f16"},
    TypeRow{DType::kBF16, at::kBFloat16, "bf16"},
    TypeRow{DType::kF32, at::kFloat, "f32"},
    TypeRow{DType::kF64, at::kDouble, "f64"},
};

}  // namespace

at::ScalarType to_scalar_type(DType dtype) {
  for (const TypeRow& row : kTypes) {
    if (row.dtype == dtype) return row.type;
  }
  throw_internal("dtype {} has no scalar type", dtype_name(dtype));
}

DType to_dtype(at::ScalarType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row.dtype;
  }
  throw_internal("scalar type {} has no dtype", c10::toString(type));
}

std::string_view scalar_type_name(at::ScalarType type) {
  for (const TypeRow& row : kTypes) {
    if (row.type == type) return row.name;
  }
  throw_internal("scalar type {} has no name", c10::toString(type));
}

std::optional<at::ScalarType> scalar_type_from_name(std::string_view name) {
  for (const TypeRow& row : kTypes) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

}  // namespace lathe::ir
