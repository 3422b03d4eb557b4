#include "export/hf_checkpoint/pack_weight.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <mutex>

#include "export/modelopt/modelopt.h"
#include "lathe/error.h"

namespace lathe::exporting {
namespace {

/// A float32 matrix of fixed numbers.
std::vector<float> numbers(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(static_cast<int32_t>(state)) / 1e9f;
  }
  return values;
}

struct Packed {
  std::vector<std::byte> bytes;
  formats::Scales scales;
  int pieces = 0;
};

Packed pack(const PlannedLayer& layer, const std::vector<float>& weight,
            const formats::Scales& scales) {
  Packed packed;
  packed.bytes.resize(static_cast<size_t>(formats::packed_size(
      layer.storage.packing, layer.scheme.weight.element, layer.rows, layer.cols)));
  std::mutex mutex;
  packed.scales = pack_weight(layer, {weight.data(), DType::kF32, layer.rows, layer.cols}, scales,
                              [&](size_t offset, std::span<const std::byte> bytes) {
                                const std::lock_guard lock(mutex);
                                ASSERT_LE(offset + bytes.size(), packed.bytes.size());
                                std::memcpy(&packed.bytes[offset], bytes.data(), bytes.size());
                                ++packed.pieces;
                              });
  return packed;
}

struct Case {
  std::string name;
  formats::Format weight;
  std::optional<formats::Format> input;
  bool input_dynamic = false;
  int64_t rows;
  int64_t cols;
};

class PackWeight : public ::testing::TestWithParam<Case> {};

/// Strips give the bytes and scales of the whole.
TEST_P(PackWeight, InStripsAsInOne) {
  const Case& test = GetParam();
  const LayerScheme scheme{.path = "layer",
                           .weight = test.weight,
                           .input = test.input,
                           .input_dynamic = test.input_dynamic};
  const auto storage = modelopt_dialect().storages({&scheme, 1}, DType::kBF16).front();
  ASSERT_TRUE(storage);
  const PlannedLayer layer{scheme, *storage, test.rows, test.cols};
  const auto weight = numbers(test.rows * test.cols);
  const kernels::MatrixView view{weight.data(), DType::kF32, test.rows, test.cols};
  const auto cells = formats::grid_shape(test.weight.block, test.rows, test.cols).size();
  std::vector<float> grid(static_cast<size_t>(cells));
  const float amax = kernels::amax(view, test.weight.block, grid).amax;
  const float global = formats::global_scale_from_amax(test.weight, amax);
  const auto scales = formats::scales_from_amax(test.weight, grid, global);

  const Packed given = pack(layer, weight, scales);
  std::vector<std::byte> whole(given.bytes.size());
  kernels::encode(test.weight, view, scales.view(), layer.storage.packing, whole);
  EXPECT_EQ(given.bytes, whole);
  EXPECT_GT(given.pieces, 1);

  if (test.weight.scale == formats::ScaleKind::kFloat32) return;
  const Packed computed =
      pack(layer, weight, {.kind = scales.kind, .values = {}, .codes = {}, .global_scale = global});
  EXPECT_EQ(computed.bytes, whole);
  EXPECT_EQ(computed.scales.codes, scales.codes);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, PackWeight,
    ::testing::Values(Case{"fp8", formats::kFp8, formats::kFp8, false, 1100, 700},
                      Case{"fp8_per_channel", formats::kFp8PerChannel, formats::kFp8PerChannel,
                           true, 1100, 700},
                      Case{"fp8_block_2d", formats::kFp8Block2d, {}, false, 900, 700},
                      Case{"int8", formats::kInt8PerChannel, {}, false, 1100, 701},
                      Case{"int4", formats::kInt4Block, {}, false, 1102, 640},
                      Case{"nvfp4", formats::kNvfp4, formats::kNvfp4, false, 1101, 640},
                      Case{"mxfp8", formats::kMxfp8, formats::kMxfp8, true, 1101, 640},
                      Case{"mxfp4", formats::kMxfp4, {}, false, 1101, 640},
                      // A row larger than a strip.
                      Case{"long_rows", formats::kInt4Block, {}, false, 6, 512 * 1024}),
    [](const auto& test) { return test.param.name; });

TEST(PackWeight, NamesTheLayerWithANan) {
  const LayerScheme scheme{.path = "model.layer", .weight = formats::kMxfp4};
  const PlannedLayer layer{scheme, *modelopt_dialect().storages({&scheme, 1}, DType::kBF16).front(),
                           4, 64};
  auto weight = numbers(4 * 64);
  weight[130] = NAN;
  try {
    pack(layer, weight,
         formats::Scales{.kind = formats::ScaleKind::kE8M0, .values = {}, .codes = {}});
    ADD_FAILURE() << "the NaN was packed";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("model.layer.weight"), std::string::npos);
  }
}

}  // namespace
}  // namespace lathe::exporting
