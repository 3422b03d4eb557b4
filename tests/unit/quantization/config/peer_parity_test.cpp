// The states that nvidia-modelopt gives quantizers (golden.json, made by make_golden.py) are ours.
#include <gtest/gtest.h>

#include "quantization/config/presets.h"
#include "quantization/config/resolve.h"
#include "unit/quantization/config/config_testing.h"

namespace lathe::quantization {
namespace {

const nlohmann::ordered_json& golden() {
  static const auto json =
      io::read_ordered_json(LATHE_SOURCE_DIR "/tests/unit/quantization/config/golden.json");
  return json;
}

/// Compares every golden name under one configuration with the states that it should have.
void expect_states(const QuantConfig& config, const nlohmann::ordered_json& states,
                   const std::string& what) {
  const QuantizerResolver resolver(config);
  const auto& names = golden()["names"];
  ASSERT_EQ(states.size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    const auto name = names[i][0].get<std::string>();
    const auto found = resolver.resolve(name, names[i][1].get<std::string>());
    const auto& expected = golden()["states"][states[i].get<size_t>()];
    EXPECT_EQ(found.enabled, expected["enabled"].get<bool>()) << what << ": " << name;
    std::vector<QuantizerAttributes> stages;
    for (const auto& stage : expected["stages"]) stages.push_back(parse_attributes(stage, name));
    EXPECT_EQ(*found.stages, stages) << what << ": " << name << ": " << describe(*found.stages)
                                     << " instead of " << describe(stages);
  }
}

const PresetInfo* any_kind(const std::string& name) {
  const auto* model = find_preset(name, PresetKind::kModel);
  return model ? model : find_preset(name, PresetKind::kKvCache);
}

TEST(PeerParity, EveryPresetSetsTheSame) {
  ASSERT_EQ(golden()["presets"].size(), 39u);
  for (const auto& item : golden()["presets"].items()) {
    const auto* preset = any_kind(item.key());
    ASSERT_NE(preset, nullptr) << item.key();
    expect_states(load_preset(item.key(), preset->kind, io::parse_yaml), item.value(), item.key());
  }
}

TEST(PeerParity, EveryPresetHasTheSameAlgorithm) {
  for (const auto& item : golden()["algorithms"].items()) {
    const auto config = load_preset(item.key(), any_kind(item.key())->kind, io::parse_yaml);
    auto expected = item.value();
    if (expected.is_null()) expected = "none";
    if (expected.is_string()) expected = {{"method", expected}};
    EXPECT_EQ(config.algorithm.method, expected["method"].get<std::string>()) << item.key();
    expected.erase("method");
    EXPECT_EQ(nlohmann::json(config.algorithm.params), nlohmann::json(expected)) << item.key();
  }
}

TEST(PeerParity, ConfigurationsOfEveryFormSetTheSame) {
  const auto& configs = golden()["configs"];
  ASSERT_GE(configs.size(), 5u);
  for (size_t i = 0; i < configs.size(); ++i) {
    const auto what = "configs[" + std::to_string(i) + "]";
    expect_states(parse_quant_config(configs[i]["config"], what, io::parse_yaml),
                  configs[i]["states"], what);
  }
}

}  // namespace
}  // namespace lathe::quantization
