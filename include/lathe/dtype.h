#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lathe {

/// Element types of tensors, named as safetensors names them.
enum class DType : uint8_t {
  kBool,
  kU8,
  kI8,
  kI16,
  kU16,
  kI32,
  kU32,
  kI64,
  kU64,
  kF8E4M3,  // OCP FP8 E4M3 ("fn": no infinity, max 448)
  kF8E5M2,
  kF8E8M0,
  kF16,
  kBF16,
  kF32,
  kF64,
};

/// Bytes of one element.
size_t dtype_size(DType dtype);

/// "F32", "BF16", "F8_E4M3", ...: the spelling of safetensors.
std::string_view dtype_name(DType dtype);

/// The dtype of a safetensors name, or nothing if there is none.
std::optional<DType> dtype_from_name(std::string_view name);

/// "float32", "bfloat16", "float8_e4m3fn", ...: the spelling of PyTorch and of config.json.
std::string_view dtype_torch_name(DType dtype);
std::optional<DType> dtype_from_torch_name(std::string_view name);

}  // namespace lathe
