#include "io/ggml_blocks.h"

#include <cmath>
#include <cstring>
#include <numeric>

#include "base/float16.h"
#include "io/npy.h"
#include "unit/io/hostile.h"

namespace lathe::io {
namespace {

std::vector<float> floats_of(const NpyArray& array) {
  std::vector<float> values(array.data.size() / sizeof(float));
  std::memcpy(values.data(), array.data.data(), array.data.size());
  return values;
}

constexpr GgmlType kDecoded[] = {GgmlType::kF32,  GgmlType::kF16,  GgmlType::kBF16, GgmlType::kQ4_0,
                                 GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1, GgmlType::kQ8_0,
                                 GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};

class GgmlBlocks : public testing::TestWithParam<GgmlType> {
 protected:
  GgmlBlocks() {
    const std::string name(ggml_type_info(GetParam()).name);
    blocks_ = arrays_.at(name + ".blocks").data;
    expected_ = floats_of(arrays_.at(name + ".values"));
  }

  std::map<std::string, NpyArray> arrays_ = read_npz(golden("ggml_blocks.npz"));
  std::span<const std::byte> blocks_;
  std::vector<float> expected_;
};

/// Bit for bit the values of the gguf wheel, from random blocks.
TEST_P(GgmlBlocks, DecodesAsTheWheel) {
  std::vector<float> values(expected_.size());
  dequantize(GetParam(), blocks_, values);
  EXPECT_EQ(std::memcmp(values.data(), expected_.data(), values.size() * sizeof(float)), 0);
}

TEST_P(GgmlBlocks, Bfloat16IsTheRoundedFloat) {
  std::vector<uint16_t> values(expected_.size());
  dequantize_bf16(GetParam(), blocks_, values);
  for (size_t i = 0; i < values.size(); ++i)
    ASSERT_EQ(values[i], bf16_from_float(expected_[i])) << i;
}

/// Many blocks, over threads and buffers: the same values again and again.
TEST_P(GgmlBlocks, ManyBlocks) {
  constexpr size_t kCopies = 5000;
  std::vector<std::byte> blocks;
  for (size_t i = 0; i < kCopies; ++i) blocks.insert(blocks.end(), blocks_.begin(), blocks_.end());
  std::vector<float> values(expected_.size() * kCopies);
  dequantize(GetParam(), blocks, values);
  std::vector<uint16_t> rounded(values.size());
  dequantize_bf16(GetParam(), blocks, rounded);
  for (size_t i = 0; i < kCopies; ++i) {
    ASSERT_EQ(std::memcmp(&values[i * expected_.size()], expected_.data(),
                          expected_.size() * sizeof(float)),
              0)
        << i;
  }
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(rounded[i], bf16_from_float(values[i]));
}

TEST_P(GgmlBlocks, SizesMustFit) {
  std::vector<float> values(expected_.size());
  data_error_of([&] { dequantize(GetParam(), blocks_.first(blocks_.size() - 1), values); });
  data_error_of(
      [&] { dequantize(GetParam(), blocks_, std::span(values).first(values.size() - 1)); });
  dequantize(GetParam(), {}, {});
}

INSTANTIATE_TEST_SUITE_P(Types, GgmlBlocks, testing::ValuesIn(kDecoded), [](const auto& info) {
  return std::string(ggml_type_info(info.param).name);
});

/// IEEE 754 binary16 by its definition, for all of its values.
TEST(GgmlTypes, EveryHalf) {
  std::vector<uint16_t> halves(1 << 16);
  std::iota(halves.begin(), halves.end(), uint16_t{0});
  std::vector<float> values(halves.size());
  dequantize(GgmlType::kF16, std::as_bytes(std::span(halves)), values);
  for (const uint16_t bits : halves) {
    const int exponent = (bits >> 10) & 31;
    const int mantissa = bits & 1023;
    const float found = values[bits];
    ASSERT_EQ(std::signbit(found), (bits >> 15) == 1) << bits;
    if (exponent == 31 && mantissa != 0) {
      ASSERT_TRUE(std::isnan(found)) << bits;
    } else if (exponent == 31) {
      ASSERT_TRUE(std::isinf(found)) << bits;
    } else {
      const float expected = exponent == 0
                                 ? std::ldexp(static_cast<float>(mantissa), -24)
                                 : std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
      ASSERT_EQ(std::fabs(found), expected) << bits;
    }
  }
}

TEST(GgmlTypes, Table) {
  EXPECT_EQ(ggml_type_info(12u)->name, "Q4_K");
  EXPECT_EQ(ggml_type_info(GgmlType::kQ6_K).block_bytes, 210u);
  EXPECT_FALSE(ggml_type_info(10u).has_value());
  EXPECT_EQ(ggml_type_name(10), "Q2_K");
  EXPECT_EQ(ggml_type_name(4), "unknown");
  for (const GgmlType type : kDecoded) EXPECT_TRUE(can_dequantize(type));
  EXPECT_FALSE(can_dequantize(GgmlType::kI32));
  std::vector<float> out(1);
  const std::string message =
      data_error_of([&] { dequantize(GgmlType::kI32, bytes_of("abcd"), out); });
  EXPECT_NE(message.find("I32"), std::string::npos) << message;
}

}  // namespace
}  // namespace lathe::io
