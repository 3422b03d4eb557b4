#include "formats/packing.h"

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

/// Codes of `bits` bits side by side in words of `word_bytes`, lowest bits first.
void pack_words(std::span<const uint8_t> codes, Element element, size_t per_word, size_t word_bytes,
                unsigned offset, std::span<std::byte> out) {
  for (size_t word = 0; word * per_word < codes.size(); ++word) {
    uint32_t value = 0;
    for (size_t i = 0; i < per_word && word * per_word + i < codes.size(); ++i) {
      const unsigned low = low_bits(element, codes[word * per_word + i]) ^ offset;
      value |= low << (i * element.bits);
    }
    for (size_t byte = 0; byte < word_bytes; ++byte) {
      out[word * word_bytes + byte] = static_cast<std::byte>(value >> (8 * byte));
    }
  }
}

void unpack_words(std::span<const std::byte> packed, Element element, size_t per_word,
                  size_t word_bytes, unsigned offset, std::span<uint8_t> codes) {
  for (size_t word = 0; word * per_word < codes.size(); ++word) {
    uint32_t value = 0;
    for (size_t byte = 0; byte < word_bytes; ++byte) {
      value |= static_cast<uint32_t>(packed[word * word_bytes + byte]) << (8 * byte);
    }
    for (size_t i = 0; i < per_word && word * per_word + i < codes.size(); ++i) {
      const auto shifted = static_cast<uint8_t>(value >> (i * element.bits));
      codes[word * per_word + i] = static_cast<uint8_t>(low_bits(element, shifted) ^ offset);
    }
  }
}

/// Bytes of the storage unit that packing_unit columns share.
size_t unit_bytes(Packing packing) {
  switch (packing) {
    case Packing::kInt32Offset:
      return 4;
    case Packing::kSixBits:
      return 3;
    default:
      return 1;
  }
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
      return 32 / element.bits;
    case Packing::kSixBits:
      return 4;
  }
  throw_internal("packing {}", static_cast<int>(packing));
}

PackedShape packed_shape(Packing packing, Element element, int64_t rows, int64_t cols) {
  check_packable(packing, element, rows);
  const int64_t units = ceil_div(cols, packing_unit(packing, element));
  switch (packing) {
    case Packing::kBytes:
      return {byte_dtype(element), rows, cols};
    case Packing::kNibbleRowPairs:
      return {DType::kU8, rows / 2, cols};
    case Packing::kInt32Offset:
      return {DType::kI32, rows, units};
    default:
      return {DType::kU8, rows, units * static_cast<int64_t>(unit_bytes(packing))};
  }
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
    pack_words(codes, element, static_cast<size_t>(packing_unit(packing, element)),
               unit_bytes(packing), sign_flip(packing, element), out);
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
    unpack_words(packed, element, static_cast<size_t>(packing_unit(packing, element)),
                 unit_bytes(packing), sign_flip(packing, element), codes);
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
