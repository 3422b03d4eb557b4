#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "formats/element.h"
#include "lathe/dtype.h"

namespace lathe::formats {

/// How the codes of a [rows, cols] matrix lie in memory.
enum class Packing : uint8_t {
  kBytes,           // a code a byte; integers two's complement
  kNibbles,         // 4-bit codes, two a byte along the columns: even column in the low nibble
  kNibbleRowPairs,  // byte (i, k) holds rows 2i (low nibble) and 2i + 1 of column k (modelopt's
                    // INT4)
  kInt32Offset,  // integers as value + 2^(bits-1), without gaps in int32 along the columns, lowest
                 // bits first (compressed-tensors' pack-quantized)
  kSixBits,      // 6-bit codes, four in three bytes along the columns, lowest bits first
};

/// What a packed matrix looks like as a tensor.
struct PackedShape {
  DType dtype;
  int64_t rows;
  int64_t cols;

  bool operator==(const PackedShape&) const = default;
};

/// UserError if the element does not fit the packing, or rows is odd for kNibbleRowPairs. A last
/// group of columns that is not full is filled with zero bits.
PackedShape packed_shape(Packing packing, Element element, int64_t rows, int64_t cols);
/// Bytes of the packed matrix.
int64_t packed_size(Packing packing, Element element, int64_t rows, int64_t cols);
/// Columns that fill whole storage units: 1, 2, 1, 32 / gcd(32, bits), 4.
int64_t packing_unit(Packing packing, Element element);

/// Packs one row of codes (kNibbleRowPairs: `codes` is the even row, `odd_codes` the odd one) into
/// `out`, whose size is that of a packed row. The reference of all packing.
void pack_row(Packing packing, Element element, std::span<const uint8_t> codes,
              std::span<const uint8_t> odd_codes, std::span<std::byte> out);
/// The inverse; only the low bits of the codes are set (bytes stay as they are).
void unpack_row(Packing packing, Element element, std::span<const std::byte> packed,
                std::span<uint8_t> codes, std::span<uint8_t> odd_codes);

/// "bytes", "nibbles", "nibble_row_pairs", "int32_offset", "six_bits".
std::string_view packing_name(Packing packing);

}  // namespace lathe::formats
