#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "parity/golden_preset.h"

namespace lathe::parity {
namespace {

class Amax : public testing::TestWithParam<GoldenPreset> {};

bool is_weight(const std::string& name) {
  return name.find("weight_quantizer") != std::string::npos;
}

/// Half a unit in the last place of bfloat16 at `value`, twice: the peer's activations and ours may
/// each be rounded the other way.
float bf16_step(float value) { return std::ldexp(1.0f, std::ilogb(value) - 7); }

using Amaxes = std::map<std::string, std::vector<float>>;

/// Cell by cell the largest amax of quantizers that the peer has as one. Those of a weight's parts
/// are of one shape, or the test fails.
std::vector<float> largest(const Amaxes& ours, const std::vector<std::string>& names) {
  std::vector<float> all;
  for (const std::string& name : names) {
    const auto own = ours.find(name);
    if (own == ours.end()) {
      ADD_FAILURE() << name << " has no amax";
      return {};
    }
    if (all.empty()) all.resize(own->second.size());
    EXPECT_EQ(all.size(), own->second.size()) << name;
    for (size_t i = 0; i < all.size(); ++i) all[i] = std::max(all[i], own->second.at(i));
  }
  return all;
}

/// Each `_amax` of the peer is Lathe's: weights' exactly, activations' within the last bfloat16
/// rounding (the peer ran on a GPU). Lathe has no other.
TEST_P(Amax, EqualsThePeers) {
  Amaxes ours;
  for (const QuantizerInfo& quantizer : quantizers(quantized_model(GetParam()))) {
    if (quantizer.enabled && !quantizer.amax.empty()) ours[quantizer.name] = quantizer.amax;
  }
  float farthest = 0;
  int compared = 0;
  size_t count = 0;
  const NamedTensors all = golden_amax(GetParam());
  for (const auto& [name, tensor] : all) {
    const std::vector<std::string> names = own_names(GetParam(), name);
    count += names.size();
    const std::vector<float> own = largest(ours, names);
    const std::vector<float> golden = floats(tensor);
    ASSERT_EQ(own.size(), golden.size()) << name;
    for (size_t i = 0; i < golden.size(); ++i) {
      if (is_weight(name) && GetParam().preset == "NVFP4_FOUR_OVER_SIX_CFG") {
        ASSERT_LE(own[i], golden[i]) << name;  // the peer's is the largest of the group
      } else if (is_weight(name)) {
        ASSERT_EQ(own[i], golden[i]) << name << " [" << i << "]";
      } else {
        ASSERT_LE(std::abs(own[i] - golden[i]), bf16_step(golden[i])) << name;
        farthest = std::max(farthest, std::abs(own[i] - golden[i]) / golden[i]);
      }
      ++compared;
    }
  }
  EXPECT_EQ(count, ours.size());
  EXPECT_EQ(compared == 0, all.empty());
  std::printf("%s: %d amax values, largest relative difference of an activation %.2g\n",
              preset_name(GetParam()).c_str(), compared, static_cast<double>(farthest));
}

/// Presets that are not compared are those of algorithms that Lathe does not have.
TEST(GoldenPresets, AreAllThatNeedNoSearch) {
  std::vector<std::string> left_out;
  for (const GoldenPreset& preset : all_golden_presets()) {
    const auto is = [&](const GoldenPreset& other) {
      return preset_name(other) == preset_name(preset);
    };
    if (std::ranges::none_of(golden_presets(), is)) left_out.push_back(preset_name(preset));
  }
  EXPECT_EQ(left_out,
            (std::vector<std::string>{"llama_INT4_AWQ_CFG", "llama_INT8_SMOOTHQUANT_CFG",
                                      "llama_NVFP4_AWQ_CLIP_CFG", "llama_NVFP4_AWQ_FULL_CFG",
                                      "llama_NVFP4_AWQ_LITE_CFG",
                                      "llama_NVFP4_W4A4_WEIGHT_MSE_FP8_SWEEP_CFG"}));
}

INSTANTIATE_TEST_SUITE_P(Presets, Amax, testing::ValuesIn(golden_presets()),
                         [](const auto& info) { return preset_name(info.param); });

}  // namespace
}  // namespace lathe::parity
