// What nvidia-modelopt 0.47 exported for one linear layer (make_golden.py): codes and scales, by
// the scalar codecs.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/float16.h"
#include "formats/packing.h"
#include "formats/scale.h"
#include "unit/formats/golden.h"

namespace lathe::formats {
namespace {

constexpr int64_t kCols = 256;
constexpr int64_t kAllRows = 128;
constexpr int64_t kSomeRows = 32;

class Modelopt : public testing::Test {
 protected:
  void SetUp() override {
    for (const uint16_t bits : read_golden_array<uint16_t>("modelopt/weight.bin")) {
      weight_.push_back(float_from_bf16(bits));
    }
    ASSERT_EQ(weight_.size(), kAllRows * kCols);
  }

  float at(int64_t row, int64_t col) const {
    return weight_[static_cast<size_t>(row * kCols + col)];
  }

  /// amax of the first `rows` rows by block.
  std::vector<float> amax(BlockShape block, int64_t rows) const {
    const GridShape grid = grid_shape(block, rows, kCols);
    std::vector<float> result(static_cast<size_t>(grid.size()));
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < kCols; ++c) {
        float& cell = result[static_cast<size_t>(cell_of(block, r, c, grid))];
        cell = std::max(cell, std::fabs(at(r, c)));
      }
    }
    return result;
  }

  static int64_t cell_of(BlockShape block, int64_t row, int64_t col, GridShape grid) {
    const int64_t grid_row = block.rows == 0 ? 0 : row / block.rows;
    return grid_row * grid.cols + (block.cols == 0 ? 0 : col / block.cols);
  }

  float quotient(const Format& format, const ScalesView& scales, int64_t row, int64_t col) const {
    const GridShape grid = grid_shape(format.block, kAllRows, kCols);
    return at(row, col) / scales.effective(cell_of(format.block, row, col, grid));
  }

  /// The codes of the first `rows` rows, packed.
  std::vector<uint8_t> packed(const Format& format, const ScalesView& scales, Packing packing,
                              int64_t rows) const {
    const int64_t step = packing == Packing::kNibbleRowPairs ? 2 : 1;
    std::vector<uint8_t> result;
    for (int64_t row = 0; row < rows; row += step) {
      std::vector<std::byte> out(
          static_cast<size_t>(packed_size(packing, format.element, step, kCols)));
      const auto odd = step == 2 ? codes(format, scales, row + 1) : std::vector<uint8_t>();
      pack_row(packing, format.element, codes(format, scales, row), odd, out);
      for (const std::byte byte : out) result.push_back(static_cast<uint8_t>(byte));
    }
    return result;
  }

 private:
  std::vector<uint8_t> codes(const Format& format, const ScalesView& scales, int64_t row) const {
    std::vector<uint8_t> result;
    for (int64_t col = 0; col < kCols; ++col) {
      result.push_back(encode(format.element, quotient(format, scales, row, col)));
    }
    return result;
  }

  std::vector<float> weight_;
};

int64_t ulps(float a, float b) {
  return std::abs(int64_t{std::bit_cast<int32_t>(a)} - int64_t{std::bit_cast<int32_t>(b)});
}

/// The peer multiplies by float32(1 / bound): one unit in the last place at most from the division.
void expect_scales_near(const std::vector<float>& ours, const std::vector<float>& golden) {
  ASSERT_EQ(ours.size(), golden.size());
  for (size_t i = 0; i < ours.size(); ++i) EXPECT_LE(ulps(ours[i], golden[i]), 1) << i;
}

float round_to_bf16(float value) { return float_from_bf16(bf16_from_float(value)); }

TEST_F(Modelopt, Nvfp4) {
  const float global = read_golden_array<float>("modelopt/nvfp4.weight_scale_2.bin").at(0);
  EXPECT_LE(ulps(global_scale_from_amax(kNvfp4, amax(kPerTensor, kAllRows)[0]), global), 1);
  const Scales scales = scales_from_amax(kNvfp4, amax(kNvfp4.block, kSomeRows), global);
  EXPECT_EQ(scales.codes, read_golden_array<uint8_t>("modelopt/nvfp4.weight_scale.bin"));
  EXPECT_EQ(packed(kNvfp4, scales.view(), Packing::kNibbles, kSomeRows),
            read_golden_array<uint8_t>("modelopt/nvfp4.weight.bin"));
}

// W4A8: the global scale is amax / 448, blocks of 32.
TEST_F(Modelopt, Nvfp4Block32) {
  const float global = read_golden_array<float>("modelopt/nvfp4_block_32.weight_scale_2.bin").at(0);
  EXPECT_LE(ulps(scale_from_amax(amax(kPerTensor, kAllRows)[0], 448), global), 1);
  const Scales scales =
      scales_from_amax(kNvfp4Block32, amax(kNvfp4Block32.block, kSomeRows), global);
  EXPECT_EQ(scales.codes, read_golden_array<uint8_t>("modelopt/nvfp4_block_32.weight_scale.bin"));
  EXPECT_EQ(packed(kNvfp4Block32, scales.view(), Packing::kNibbles, kSomeRows),
            read_golden_array<uint8_t>("modelopt/nvfp4_block_32.weight.bin"));
}

TEST_F(Modelopt, Mxfp8) {
  const Scales scales = scales_from_amax(kMxfp8, amax(kMxfp8.block, kSomeRows));
  EXPECT_EQ(scales.codes, read_golden_array<uint8_t>("modelopt/mxfp8.weight_scale.bin"));
  EXPECT_EQ(packed(kMxfp8, scales.view(), Packing::kBytes, kSomeRows),
            read_golden_array<uint8_t>("modelopt/mxfp8.weight.bin"));
}

// The peer rounds ties down and writes zeros as -0: every difference is one of these.
TEST_F(Modelopt, Mxfp4DiffersInTiesAndZerosAlone) {
  const Scales scales = scales_from_amax(kMxfp4, amax(kMxfp4.block, kSomeRows));
  EXPECT_EQ(scales.codes, read_golden_array<uint8_t>("modelopt/mxfp4.weight_scale.bin"));
  const auto ours = packed(kMxfp4, scales.view(), Packing::kNibbles, kSomeRows);
  const auto golden = read_golden_array<uint8_t>("modelopt/mxfp4.weight.bin");
  ASSERT_EQ(ours.size(), golden.size());
  int ties = 0;
  for (int64_t i = 0; i < kSomeRows * kCols; ++i) {
    const int shift = i % 2 == 0 ? 0 : 4;
    const int code = (ours[static_cast<size_t>(i / 2)] >> shift) & 0xf;
    const int peer = (golden[static_cast<size_t>(i / 2)] >> shift) & 0xf;
    const float q = std::fabs(quotient(kMxfp4, scales.view(), i / kCols, i % kCols));
    EXPECT_EQ(peer & 8, at(i / kCols, i % kCols) == 0 ? 8 : code & 8);
    if ((peer & 7) == (code & 7)) continue;
    const float low = decode(kE2M1, static_cast<uint8_t>(peer & 7));
    const float high = decode(kE2M1, static_cast<uint8_t>(code & 7));
    EXPECT_EQ(q, (low + high) / 2);
    EXPECT_EQ((peer & 7) + 1, code & 7);
    ++ties;
  }
  EXPECT_GT(ties, 0);
}

TEST_F(Modelopt, Int8PerChannel) {
  const auto golden = read_golden_array<float>("modelopt/int8_per_channel.weight_scale.bin");
  expect_scales_near(scales_from_amax(kInt8PerChannel, amax(kPerChannel, kSomeRows)).values,
                     golden);
  const ScalesView scales{ScaleKind::kFloat32, golden, {}, 1.0f};
  EXPECT_EQ(packed(kInt8PerChannel, scales, Packing::kBytes, kSomeRows),
            read_golden_array<uint8_t>("modelopt/int8_per_channel.weight.bin"));
}

TEST_F(Modelopt, Int4Block) {
  const auto golden = read_golden_array<float>("modelopt/int4_block.weight_scale.bin");
  expect_scales_near(scales_from_amax(kInt4Block, amax(kInt4Block.block, kSomeRows)).values,
                     golden);
  const ScalesView scales{ScaleKind::kFloat32, golden, {}, 1.0f};
  EXPECT_EQ(packed(kInt4Block, scales, Packing::kNibbleRowPairs, kSomeRows),
            read_golden_array<uint8_t>("modelopt/int4_block.weight.bin"));
}

TEST_F(Modelopt, Fp8PerChannel) {
  const auto golden = read_golden_array<float>("modelopt/fp8_per_channel.weight_scale.bin");
  expect_scales_near(scales_from_amax(kFp8PerChannel, amax(kPerChannel, kSomeRows)).values, golden);
  const ScalesView scales{ScaleKind::kFloat32, golden, {}, 1.0f};
  EXPECT_EQ(packed(kFp8PerChannel, scales, Packing::kBytes, kSomeRows),
            read_golden_array<uint8_t>("modelopt/fp8_per_channel.weight.bin"));
}

TEST_F(Modelopt, Fp8Block2d) {
  const auto golden = read_golden_array<float>("modelopt/fp8_block_2d.weight_scale.bin");
  expect_scales_near(scales_from_amax(kFp8Block2d, amax(kFp8Block2d.block, kAllRows)).values,
                     golden);
  const ScalesView scales{ScaleKind::kFloat32, golden, {}, 1.0f};
  EXPECT_EQ(packed(kFp8Block2d, scales, Packing::kBytes, kAllRows),
            read_golden_array<uint8_t>("modelopt/fp8_block_2d.weight.bin"));
}

// The peer divides in bfloat16 and so rounds twice: its codes follow from that, and ours are never
// farther off.
TEST_F(Modelopt, Fp8PerTensorIsNearer) {
  const auto golden_scale = read_golden_array<float>("modelopt/fp8.weight_scale.bin");
  expect_scales_near(scales_from_amax(kFp8, amax(kPerTensor, kAllRows)).values, golden_scale);
  const ScalesView scales{ScaleKind::kFloat32, golden_scale, {}, 1.0f};
  const auto ours = packed(kFp8, scales, Packing::kBytes, kSomeRows);
  const auto golden = read_golden_array<uint8_t>("modelopt/fp8.weight.bin");
  ASSERT_EQ(ours.size(), golden.size());
  const float rounded_scale = round_to_bf16(golden_scale.at(0));
  int differences = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    const float q = quotient(kFp8, scales, index / kCols, index % kCols);
    const float rounded_q = round_to_bf16(at(index / kCols, index % kCols) / rounded_scale);
    EXPECT_EQ(encode(kE4M3, rounded_q), golden[i]);
    EXPECT_LE(std::fabs(decode(kE4M3, ours[i]) - q), std::fabs(decode(kE4M3, golden[i]) - q));
    differences += ours[i] != golden[i];
  }
  EXPECT_GT(differences, 0);
  EXPECT_LT(differences, static_cast<int>(ours.size() / 20));
}

}  // namespace
}  // namespace lathe::formats
