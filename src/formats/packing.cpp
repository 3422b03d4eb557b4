#include "formats/packing.h"

#include <numeric>

#include "base/checked.h"
#include "base/error.h"

namespace lathe::formats {

namespace {
unsigned low_bits(Element element, uint8_t code) { return code & ((1u << element.bits) - 1); }

DType byte_dtype(Element element) {
  switch (element.kind) {
    case ElementKind::kE4M3:
      return DType::kF8E4M3;
    case ElementKind::kE5M2:
      return DType::kF8E5M2;
    case ElementKind::kInt:
      return element.is_unsigned ? DType::kU8 : DType::kI8;
    default:
      return DType::kU8;
  }
}

void check_packable(Packing packing, Element element, int64_t rows) {
  const bool four_bits = packing == Packing::kNibbles || packing == Packing::kNibbleRowPairs;
  if ((four_bits && element.bits != 4) || (packing == Packing::kSixBits && element.bits != 6) ||
      (packing == Packing::kInt32Offset && element.kind != ElementKind::kInt)) {
    throw_user("{} cannot be packed as {}", element_name(element), packing_name(packing));
  }
  if (packing == Packing::kNibbleRowPairs && rows % 2 != 0) {
    throw_user("packing as {} needs an even number of rows, found {}", packing_name(packing), rows);
  }
}

/// Codes of `bits` bits side by side, lowest bits first; the rest of `out` is zeros.
void pack_bits(std::span<const uint8_t> codes, Element element, unsigned offset,
               std::span<std::byte> out) {
  uint32_t pending = 0;
  int count = 0;
  size_t byte = 0;
  for (const uint8_t code : codes) {
    pending |= (low_bits(element, code) ^ offset) << count;
    for (count += element.bits; count >= 8; count -= 8) {
      out[byte++] = static_cast<std::byte>(pending);
      pending >>= 8;
    }
  }
  for (; byte < out.size(); ++byte) {
    out[byte] = static_cast<std::byte>(pending);
    pending = 0;
  }
}

void unpack_bits(std::span<const std::byte> packed, Element element, unsigned offset,
                 std::span<uint8_t> codes) {
  uint32_t pending = 0;
  int count = 0;
  size_t byte = 0;
  for (uint8_t& code : codes) {
    for (; count < element.bits; count += 8) {
      pending |= static_cast<uint32_t>(packed[byte++]) << count;
    }
    code = static_cast<uint8_t>(low_bits(element, static_cast<uint8_t>(pending)) ^ offset);
    pending >>= element.bits;
    count -= element.bits;
  }
}

/// 32-bit words of a row of codes without gaps.
int64_t words(Element element, int64_t cols) {
  return cols / 32 * element.bits + ceil_div(cols % 32 * element.bits, 32);
}

/// value + 2^(bits-1) is the two's complement code with the sign bit flipped.
unsigned sign_flip(Packing packing, Element element) {
  return packing == Packing::kInt32Offset && !element.is_unsigned ? 1u << (element.bits - 1) : 0;
}

void check_row(Packing packing, Element element, size_t codes, size_t odd_codes, size_t packed) {
  const int64_t rows = packing == Packing::kNibbleRowPairs ? 2 : 1;
  const int64_t expected = packed_size(packing, element, rows, static_cast<int64_t>(codes));
  check_internal(static_cast<int64_t>(packed) == expected, "packed row of {} bytes, expected {}",
                 packed, expected);
  check_internal(rows == 1 || odd_codes == codes, "rows of {} and {} codes", codes, odd_codes);
}
}  // namespace

int64_t packing_unit(Packing packing, Element element) {
  switch (packing) {
    case Packing::kBytes:
    case Packing::kNibbleRowPairs:
      return 1;
    case Packing::kNibbles:
      return 2;
    case Packing::kInt32Offset:
      return 32 / std::gcd(32, int64_t{element.bits});
    case Packing::kSixBits:
      return 4;
  }
  throw_internal("packing {}", static_cast<int>(packing));
}

PackedShape packed_shape(Packing packing, Element element, int64_t rows, int64_t cols) {
  check_packable(packing, element, rows);
  switch (packing) {
    case Packing::kBytes:
      return {byte_dtype(element), rows, cols};
    case Packing::kNibbleRowPairs:
      return {DType::kU8, rows / 2, cols};
    case Packing::kInt32Offset:
      return {DType::kI32, rows, words(element, cols)};
    case Packing::kNibbles:
      return {DType::kU8, rows, ceil_div(cols, 2)};
    case Packing::kSixBits:
      return {DType::kU8, rows, ceil_div(cols, 4) * 3};
  }
  throw_internal("packing {}", static_cast<int>(packing));
}

int64_t packed_size(Packing packing, Element element, int64_t rows, int64_t cols) {
  const PackedShape shape = packed_shape(packing, element, rows, cols);
  const int64_t size[] = {shape.rows, shape.cols, static_cast<int64_t>(dtype_size(shape.dtype))};
  const auto bytes = checked_numel(size);
  if (!bytes) throw_user("a packed matrix of {} by {} is too large", rows, cols);
  return *bytes;
}

void pack_row(Packing packing, Element element, std::span<const uint8_t> codes,
              std::span<const uint8_t> odd_codes, std::span<std::byte> out) {
  check_row(packing, element, codes.size(), odd_codes.size(), out.size());
  if (packing == Packing::kBytes) {
    for (size_t i = 0; i < codes.size(); ++i) out[i] = static_cast<std::byte>(codes[i]);
  } else if (packing == Packing::kNibbleRowPairs) {
    for (size_t i = 0; i < codes.size(); ++i) {
      out[i] = static_cast<std::byte>(low_bits(element, codes[i]) |
                                      (low_bits(element, odd_codes[i]) << 4));
    }
  } else {
    pack_bits(codes, element, sign_flip(packing, element), out);
  }
}

void unpack_row(Packing packing, Element element, std::span<const std::byte> packed,
                std::span<uint8_t> codes, std::span<uint8_t> odd_codes) {
  check_row(packing, element, codes.size(), odd_codes.size(), packed.size());
  if (packing == Packing::kBytes) {
    for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<uint8_t>(packed[i]);
  } else if (packing == Packing::kNibbleRowPairs) {
    for (size_t i = 0; i < codes.size(); ++i) {
      const auto byte = static_cast<uint8_t>(packed[i]);
      codes[i] = byte & 0xf;
      odd_codes[i] = byte >> 4;
    }
  } else {
    unpack_bits(packed, element, sign_flip(packing, element), codes);
  }
}

std::string_view packing_name(Packing packing) {
  switch (packing) {
    case Packing::kBytes:
      return "bytes";
    case Packing::kNibbles:
      return "nibbles";
    case Packing::kNibbleRowPairs:
      return "nibble_row_pairs";
    case Packing::kInt32Offset:
      return "int32_offset";
    case Packing::kSixBits:
      return "six_bits";
  }
  throw_internal("packing {}", static_cast<int>(packing));
}

}  // namespace lathe::formats
