#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace lathe::io {

/// Tensor types of GGUF files, with ggml's numbers.
enum class GgmlType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kI8 = 24,
  kI16 = 25,
  kI32 = 26,
  kI64 = 27,
  kF64 = 28,
  kBF16 = 30,
};

/// A block type stores `block_elements` consecutive elements of a row in `block_bytes` bytes.
struct GgmlTypeInfo {
  GgmlType type;
  std::string_view name;  // "Q4_K"
  int64_t block_elements;
  size_t block_bytes;
};

/// Nothing if the number is of no type that Lathe reads.
std::optional<GgmlTypeInfo> ggml_type_info(uint32_t number);
GgmlTypeInfo ggml_type_info(GgmlType type);
/// ggml's name of any type number, known or not: for messages.
std::string_view ggml_type_name(uint32_t number);
/// True for the floating-point and block types, which dequantize() decodes; false for integers and
/// F64.
bool can_dequantize(GgmlType type);

/// Decodes blocks to float32, as ggml defines each format; parallel. `out` must hold exactly the
/// elements of the blocks: DataError if the sizes do not fit, or the type is none that
/// can_dequantize().
void dequantize(GgmlType type, std::span<const std::byte> blocks, std::span<float> out);
/// The same, each float32 value rounded to bfloat16 (bits).
void dequantize_bf16(GgmlType type, std::span<const std::byte> blocks, std::span<uint16_t> out);

}  // namespace lathe::io
