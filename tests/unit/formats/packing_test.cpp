#include "formats/packing.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "lathe/error.h"

namespace lathe::formats {
namespace {

struct Case {
  Packing packing;
  Element element;
};

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

std::vector<std::byte> pack(Packing packing, Element element, std::vector<uint8_t> codes,
                            std::vector<uint8_t> odd = {}) {
  const int64_t rows = packing == Packing::kNibbleRowPairs ? 2 : 1;
  const auto cols = static_cast<int64_t>(codes.size());
  std::vector<std::byte> out(static_cast<size_t>(packed_size(packing, element, rows, cols)));
  pack_row(packing, element, codes, odd, out);
  return out;
}

TEST(Packing, NibblesPutTheEvenColumnLow) {
  EXPECT_EQ(pack(Packing::kNibbles, kE2M1, {0x1, 0x2, 0xf, 0x8}), bytes({0x21, 0x8f}));
  EXPECT_EQ(pack(Packing::kNibbles, kE2M1, {0x1, 0x2, 0xf}), bytes({0x21, 0x0f}));
}

TEST(Packing, RowPairsPutTheEvenRowLow) {
  const std::vector<uint8_t> even{encode(kInt4, -1), encode(kInt4, 7)};
  const std::vector<uint8_t> odd{encode(kInt4, 2), encode(kInt4, -8)};
  EXPECT_EQ(pack(Packing::kNibbleRowPairs, kInt4, even, odd), bytes({0x2f, 0x87}));
}

TEST(Packing, Int32OffsetAddsEightLowestBitsFirst) {
  std::vector<uint8_t> codes;
  for (const int value : {-8, -7, 0, 7, 1, 2, 3, 4, -1}) {
    codes.push_back(encode(kInt4, static_cast<float>(value)));
  }
  EXPECT_EQ(pack(Packing::kInt32Offset, kInt4, codes),
            bytes({0x10, 0xf8, 0xa9, 0xcb, 0x07, 0, 0, 0}));
  EXPECT_EQ(pack(Packing::kInt32Offset, kInt8, {0x80, 0x7f, 0x00, 0xff}),
            bytes({0x00, 0xff, 0x80, 0x7f}));
}

/// Code i begins at bit 3 i: the eleventh lies in both words.
TEST(Packing, Int32OffsetLeavesNoGaps) {
  std::vector<uint8_t> codes(10, encode(int_element(3), -4));
  codes.push_back(encode(int_element(3), 2));  // 6 = 0b110, at bits 30 to 32
  codes.push_back(encode(int_element(3), -3));
  EXPECT_EQ(pack(Packing::kInt32Offset, int_element(3), codes),
            bytes({0, 0, 0, 0x80, 0x03, 0, 0, 0}));
}

TEST(Packing, SixBitsPutFourCodesInThreeBytes) {
  EXPECT_EQ(pack(Packing::kSixBits, kE3M2, {0x3f, 0, 0, 0x20}), bytes({0x3f, 0x00, 0x80}));
  EXPECT_EQ(pack(Packing::kSixBits, kE3M2, {0x01, 0x02, 0x03, 0x04}), bytes({0x81, 0x30, 0x10}));
}

TEST(Packing, UnpackIsTheInverse) {
  std::mt19937 random(7);
  const Case cases[] = {{Packing::kBytes, kInt8},
                        {Packing::kBytes, kE4M3},
                        {Packing::kNibbles, kE2M1},
                        {Packing::kNibbles, kInt4},
                        {Packing::kNibbleRowPairs, kInt4},
                        {Packing::kInt32Offset, kInt4},
                        {Packing::kInt32Offset, kInt8},
                        {Packing::kInt32Offset, int_element(2)},
                        {Packing::kInt32Offset, int_element(3)},
                        {Packing::kInt32Offset, int_element(5)},
                        {Packing::kInt32Offset, int_element(6)},
                        {Packing::kInt32Offset, int_element(7)},
                        {Packing::kSixBits, kE2M3}};
  for (const Case& c : cases) {
    const int mask = (1 << c.element.bits) - 1;
    for (size_t cols = 1; cols < 72; ++cols) {
      std::vector<uint8_t> codes(cols);
      std::vector<uint8_t> odd(c.packing == Packing::kNibbleRowPairs ? cols : 0);
      for (uint8_t& code : codes) code = static_cast<uint8_t>(random()) & mask;
      for (uint8_t& code : odd) code = static_cast<uint8_t>(random()) & mask;
      const auto packed = pack(c.packing, c.element, codes, odd);
      std::vector<uint8_t> codes_back(codes.size());
      std::vector<uint8_t> odd_back(odd.size());
      unpack_row(c.packing, c.element, packed, codes_back, odd_back);
      EXPECT_EQ(codes_back, codes) << packing_name(c.packing);
      EXPECT_EQ(odd_back, odd) << packing_name(c.packing);
    }
  }
}

TEST(PackedShape, IsTheTensorOfTheCheckpoint) {
  EXPECT_EQ(packed_shape(Packing::kBytes, kE4M3, 6, 10), (PackedShape{DType::kF8E4M3, 6, 10}));
  EXPECT_EQ(packed_shape(Packing::kBytes, kInt8, 6, 10), (PackedShape{DType::kI8, 6, 10}));
  EXPECT_EQ(packed_shape(Packing::kNibbles, kE2M1, 6, 10), (PackedShape{DType::kU8, 6, 5}));
  EXPECT_EQ(packed_shape(Packing::kNibbleRowPairs, kInt4, 6, 10), (PackedShape{DType::kU8, 3, 10}));
  EXPECT_EQ(packed_shape(Packing::kInt32Offset, kInt4, 6, 10), (PackedShape{DType::kI32, 6, 2}));
  for (int bits = 2; bits <= 8; ++bits) {
    const Element element = int_element(bits);
    EXPECT_EQ(packed_shape(Packing::kInt32Offset, element, 6, 32).cols, bits);
    EXPECT_EQ(packed_shape(Packing::kInt32Offset, element, 6, 33).cols, bits + 1);
    EXPECT_EQ(packing_unit(Packing::kInt32Offset, element) * bits % 32, 0);
  }
  EXPECT_EQ(packed_shape(Packing::kSixBits, kE3M2, 6, 10), (PackedShape{DType::kU8, 6, 9}));
  EXPECT_EQ(packed_size(Packing::kInt32Offset, kInt4, 6, 10), 48);
}

TEST(PackedShape, RefusesWhatDoesNotFit) {
  EXPECT_THROW(packed_shape(Packing::kNibbles, kE4M3, 6, 10), UserError);
  EXPECT_THROW(packed_shape(Packing::kSixBits, kE4M3, 6, 10), UserError);
  EXPECT_THROW(packed_shape(Packing::kInt32Offset, kE2M1, 6, 10), UserError);
  EXPECT_THROW(packed_shape(Packing::kNibbleRowPairs, kInt4, 5, 10), UserError);
  EXPECT_THROW(packed_size(Packing::kBytes, kInt8, int64_t{1} << 40, int64_t{1} << 40), UserError);
}

}  // namespace
}  // namespace lathe::formats
