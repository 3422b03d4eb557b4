#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/float16.h"
#include "formats/element.h"
#include "io/json.h"
#include "unit/export/golden_checkpoint.h"
#include "unit/export/scratch_folder.h"

namespace lathe::exporting {
namespace {

using lathe::testing::CodeDifference;
using lathe::testing::golden_folder;
using lathe::testing::golden_scalar;
using lathe::testing::golden_scheme;
using lathe::testing::golden_values;
using lathe::testing::GoldenPreset;

constexpr int kIndent = 4;

class GoldenExport : public ::testing::TestWithParam<GoldenPreset> {
 protected:
  void SetUp() override {
    const GoldenPreset& preset = GetParam();
    folder_ = golden_folder(preset.model) / preset.name / "export";
    model_ = lathe::testing::load_base(preset.model);
    golden_.emplace(io::SafetensorsCheckpoint::open(folder_));
    scheme_ = golden_scheme(preset, model_, *golden_);
    plan_.emplace(CheckpointPlan::make(model_, scheme_, {}));
  }

  /// Writes all tensors; the weights' block codes from the golden export, or computed.
  void write_all(CheckpointExporter& exporter, bool golden_codes) {
    std::set<std::string> quantized;
    for (const PlannedLayer& layer : plan_->layers()) {
      const std::string name = layer.scheme.path + ".weight";
      LayerValues values = golden_values(layer, *golden_);
      if (!golden_codes) values.weight_scales.codes.clear();
      exporter.write_quantized(layer.scheme.path, model_.root->find_parameter(name)->tensor(),
                               values);
      quantized.insert(name);
    }
    for (const ir::SourceTensor& tensor : model_.tensors) {
      if (quantized.contains(tensor.name)) continue;
      exporter.write_plain(tensor.name, tensor.parameter->tensor());
    }
    for (const KvScheme& kv : scheme_.kv) {
      exporter.write_kv(kv, {golden_scalar(*golden_, kv.key_path + ".k_scale"),
                             golden_scalar(*golden_, kv.value_path + ".v_scale")});
    }
    for (const ExportUnit& unit : plan_->units()) exporter.finish_unit(unit.name);
    exporter.finish();
  }

  std::filesystem::path folder_;
  ir::Model model_;
  std::optional<io::SafetensorsCheckpoint> golden_;
  QuantizationScheme scheme_;
  std::optional<CheckpointPlan> plan_;
};

TEST_P(GoldenExport, PlansTheSameTensors) {
  EXPECT_EQ(plan_->layout().tensors.size(), golden_->tensors().size());
  for (const io::TensorEntry& expected : golden_->tensors()) {
    const io::PlannedTensor& planned = plan_->tensor(expected.name);
    EXPECT_EQ(planned.dtype, expected.dtype) << expected.name;
    EXPECT_EQ(planned.shape, expected.shape) << expected.name;
  }
}

/// Text is compared, so that the order of keys counts too.
TEST_P(GoldenExport, WritesTheSameJson) {
  auto config = plan_->config();
  auto file = plan_->hf_quant_config();
  const auto golden_config = io::read_ordered_json(folder_ / "config.json");
  const auto golden_file = io::read_ordered_json(folder_ / "hf_quant_config.json");
  config["quantization_config"]["producer"] = golden_config["quantization_config"]["producer"];
  file["producer"] = golden_file["producer"];
  EXPECT_EQ(io::dump_json(config, kIndent), read_file(folder_ / "config.json"));
  EXPECT_EQ(io::dump_json(file, kIndent), read_file(folder_ / "hf_quant_config.json"));
}

/// The value that a code stands for, in double so that it is exact.
double value_of(formats::Element element, uint8_t code, float scale) {
  return static_cast<double>(formats::decode(element, code)) * static_cast<double>(scale);
}

float round_to_bf16(float value) { return float_from_bf16(bf16_from_float(value)); }

/// FP8: ours is never farther from the weight, and the golden code is that of
/// bfloat16 division by a bfloat16 scale.
void compare_fp8(const std::string& name, const at::Tensor& weight, std::span<const std::byte> ours,
                 std::span<const std::byte> golden, float scale) {
  ASSERT_EQ(ours.size(), golden.size());
  size_t different = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const float w = static_cast<float>(weight.const_data_ptr<at::BFloat16>()[i]);
    const auto our_code = static_cast<uint8_t>(ours[i]);
    const auto golden_code = static_cast<uint8_t>(golden[i]);
    const float quotient = round_to_bf16(w / round_to_bf16(scale));
    ASSERT_EQ(golden_code, formats::encode(formats::kE4M3, quotient)) << name << " " << i;
    if (our_code == golden_code) continue;
    ++different;
    ASSERT_LE(std::abs(value_of(formats::kE4M3, our_code, scale) - static_cast<double>(w)),
              std::abs(value_of(formats::kE4M3, golden_code, scale) - static_cast<double>(w)))
        << name << " " << i;
  }
  EXPECT_LT(different, ours.size() / 16) << name;
}

/// MXFP4: codes differ only where the weight lies half way between them, or is zero.
void compare_mxfp4(const std::string& name, const at::Tensor& weight,
                   std::span<const std::byte> ours, std::span<const std::byte> golden,
                   const formats::Scales& scales) {
  ASSERT_EQ(ours.size(), golden.size());
  for (size_t i = 0; i < 2 * ours.size(); ++i) {
    const int shift = i % 2 == 0 ? 0 : 4;
    const auto our_code = static_cast<uint8_t>(static_cast<int>(ours[i / 2]) >> shift & 0xf);
    const auto golden_code = static_cast<uint8_t>(static_cast<int>(golden[i / 2]) >> shift & 0xf);
    if (our_code == golden_code) continue;
    const float scale = scales.view().effective(static_cast<int64_t>(i / 32));
    const auto w =
        static_cast<double>(static_cast<float>(weight.const_data_ptr<at::BFloat16>()[i]));
    ASSERT_EQ(std::abs(value_of(formats::kE2M1, our_code, scale) - w),
              std::abs(value_of(formats::kE2M1, golden_code, scale) - w))
        << name << " " << i;
    ASSERT_TRUE(our_code % 2 == 0) << name << " " << i;  // the even of the two
    ASSERT_FALSE(our_code == 8 && w == 0.0 && !std::signbit(w)) << name << " " << i;
  }
}

TEST_P(GoldenExport, PacksTheSameCodes) {
  if (GetParam().difference == CodeDifference::kOtherWeights) {
    // The weights are not those of the base: only that our export of them is whole.
    const lathe::testing::ScratchFolder scratch;
    CheckpointExporter exporter(*plan_, scratch / "out", ExportMode::kFresh, false);
    write_all(exporter, true);
    EXPECT_EQ(io::SafetensorsCheckpoint::open(scratch / "out").tensors().size(),
              golden_->tensors().size());
    return;
  }
  const lathe::testing::ScratchFolder scratch;
  CheckpointExporter exporter(*plan_, scratch / "out", ExportMode::kFresh, false);
  write_all(exporter, true);
  const auto written = io::SafetensorsCheckpoint::open(scratch / "out");
  std::set<std::string> compared;
  for (const PlannedLayer& layer : plan_->layers()) {
    if (GetParam().difference == CodeDifference::kNone) break;
    const std::string name = layer.scheme.path + ".weight";
    const at::Tensor weight = model_.root->find_parameter(name)->tensor();
    const LayerValues values = golden_values(layer, *golden_);
    const auto ours = written.at(name).data();
    const auto golden = golden_->at(name).data();
    if (GetParam().difference == CodeDifference::kTiesDown) {
      compare_mxfp4(name, weight, ours, golden, values.weight_scales);
    } else {
      compare_fp8(name, weight, ours, golden, values.weight_scales.values.at(0));
    }
    compared.insert(name);
  }
  for (const io::TensorEntry& expected : golden_->tensors()) {
    if (compared.contains(expected.name)) continue;
    EXPECT_TRUE(std::ranges::equal(written.at(expected.name).data(), expected.data()))
        << expected.name;
  }
}

/// Block codes that are computed while packing are those of the golden export, unless its algorithm
/// searched for them.
TEST_P(GoldenExport, ComputesTheSameBlockScales) {
  const GoldenPreset& preset = GetParam();
  const bool searched = preset.name == "NVFP4_FOUR_OVER_SIX_CFG" ||
                        preset.name == "NVFP4_W4A4_WEIGHT_MSE_FP8_SWEEP_CFG";
  const bool float32 = preset.weight.scale == formats::ScaleKind::kFloat32;
  const bool comparable =
      !searched && !float32 && preset.difference != CodeDifference::kOtherWeights;
  const lathe::testing::ScratchFolder scratch;
  CheckpointExporter exporter(*plan_, scratch / "out", ExportMode::kFresh, false);
  write_all(exporter, float32);
  const auto written = io::SafetensorsCheckpoint::open(scratch / "out");
  for (const PlannedLayer& layer : plan_->layers()) {
    const std::string name = layer.scheme.path + ".weight_scale";
    const bool same = std::ranges::equal(written.at(name).data(), golden_->at(name).data());
    EXPECT_TRUE(same || !(comparable || float32)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, GoldenExport,
                         ::testing::ValuesIn(lathe::testing::golden_presets()),
                         [](const auto& test) {
                           std::string name = test.param.model + "_" + test.param.name;
                           std::ranges::replace(name, '+', '_');
                           return name;
                         });

}  // namespace
}  // namespace lathe::exporting
