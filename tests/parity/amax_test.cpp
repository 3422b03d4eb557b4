#include <gtest/gtest.h>

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

/// Each `_amax` of the peer is Lathe's: weights' exactly, activations' within the last bfloat16
/// rounding (the peer ran on a GPU).
TEST_P(Amax, EqualsThePeers) {
  std::map<std::string, std::vector<float>> ours;
  for (const QuantizerInfo& quantizer : quantizers(quantized_model(GetParam()))) {
    if (quantizer.enabled && !quantizer.amax.empty()) ours[quantizer.name] = quantizer.amax;
  }
  float largest = 0;
  int compared = 0;
  const NamedTensors all = golden_amax(GetParam());
  EXPECT_EQ(all.size(), ours.size());
  for (const auto& [name, tensor] : all) {
    ASSERT_TRUE(ours.contains(name)) << name;
    const std::vector<float> golden = floats(tensor);
    ASSERT_EQ(ours[name].size(), golden.size()) << name;
    for (size_t i = 0; i < golden.size(); ++i) {
      if (is_weight(name) && GetParam().preset == "NVFP4_FOUR_OVER_SIX_CFG") {
        ASSERT_LE(ours[name][i], golden[i]) << name;  // the peer's is the largest of the group
      } else if (is_weight(name)) {
        ASSERT_EQ(ours[name][i], golden[i]) << name << " [" << i << "]";
      } else {
        ASSERT_LE(std::abs(ours[name][i] - golden[i]), bf16_step(golden[i])) << name;
        largest = std::max(largest, std::abs(ours[name][i] - golden[i]) / golden[i]);
      }
      ++compared;
    }
  }
  EXPECT_EQ(compared == 0, all.empty());
  std::printf("%s: %d amax values, largest relative difference of an activation %.2g\n",
              GetParam().folder.c_str(), compared, static_cast<double>(largest));
}

INSTANTIATE_TEST_SUITE_P(Presets, Amax, testing::ValuesIn(golden_presets()),
                         [](const auto& info) { return preset_name(info.param); });

}  // namespace
}  // namespace lathe::parity
