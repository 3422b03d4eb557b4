#include "lathe/dtype.h"

#include <array>

#include "base/error.h"

namespace lathe {
namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  std::string_view torch_name;
  size_t size;
};

constexpr std::array kDTypes = {
    DTypeInfo{DType::kBool, "BOOL", "bool", 1},
    DTypeInfo{DType::kU8, "U8", "uint8", 1},
    DTypeInfo{DType::kI8, "I8", "int8", 1},
    DTypeInfo{DType::kI16, "I16", "int16", 2},
    DTypeInfo{DType::kU16, "U16", "uint16", 2},
    DTypeInfo{DType::kI32, "I32", "int32", 4},
    DTypeInfo{DType::kU32, "U32", "uint32", 4},
    DTypeInfo{DType::kI64, "I64", "int64", 8},
    DTypeInfo{DType::kU64, "U64", "uint64", 8},
    DTypeInfo{DType::kF8E4M3, "F8_E4M3", "float8_e4m3fn", 1},
    DTypeInfo{DType::kF8E5M2, "F8_E5M2", "float8_e5m2", 1},
    DTypeInfo{DType::kF8E8M0, "F8_E8M0", "float8_e8m0fnu", 1},
    DTypeInfo{DType::kF16, "F16", "float16", 2},
    DTypeInfo{DType::kBF16, "BF16", "bfloat16", 2},
    DTypeInfo{DType::kF32, "F32", "float32", 4},
    DTypeInfo{DType::kF64, "F64", "float64", 8},
};

const DTypeInfo& info_of(DType dtype) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.dtype == dtype) return info;
  }
  throw_internal("unknown dtype {}", static_cast<int>(dtype));
}

}  // namespace

size_t dtype_size(DType dtype) { return info_of(dtype).size; }
std::string_view dtype_name(DType dtype) { return info_of(dtype).name; }
std::string_view dtype_torch_name(DType dtype) { return info_of(dtype).torch_name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_torch_name(std::string_view name) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.torch_name == name) return info.dtype;
  }
  return std::nullopt;
}

}  // namespace lathe
