#include "quantization/config/quant_config.h"

#include <gtest/gtest.h>

#include "quantization/config/presets.h"
#include "unit/quantization/config/config_testing.h"

namespace lathe::quantization {
namespace {

TEST(QuantConfig, ListForm) {
  const auto config = config_of(R"(
    quant_cfg:
      - {quantizer_name: '*', enable: false}
      - {quantizer_name: '*weight_quantizer', parent_class: torch.nn.Linear, cfg: {num_bits: 4, axis: 0}}
      - {quantizer_name: '*input_quantizer', cfg: [{format: int4}, {format: fp8}], enable: false}
    algorithm: {method: awq_lite, alpha_step: 0.2}
    effective_bits: 4.5)");
  ASSERT_EQ(config.entries.size(), 3u);
  EXPECT_EQ(config.entries[0].enable, false);
  EXPECT_FALSE(config.entries[0].cfg);
  EXPECT_EQ(config.entries[1].parent_class, "nn.Linear");
  EXPECT_EQ(config.entries[1].cfg->front().axis, std::vector<int>{0});
  EXPECT_FALSE(config.entries[1].enable);
  EXPECT_EQ(config.entries[2].cfg->size(), 2u);
  EXPECT_EQ(config.entries[2].enable, false);
  EXPECT_EQ(config.algorithm.method, "awq_lite");
  EXPECT_EQ(config.algorithm.params.dump(), R"({"alpha_step":0.2})");
  EXPECT_EQ(config.effective_bits, 4.5);
}

TEST(QuantConfig, ShortFormat) {
  const auto config = config_of(
      R"({"quant_cfg": {"*weight_quantizer": {"num_bits": 8, "format": "fp8"},
                        "*input_quantizer": {"num_bits": 8, "format": "fp8"}}, "algorithm": "max"})");
  ASSERT_EQ(config.entries.size(), 2u);
  EXPECT_EQ(config.entries[0].cfg->front(), find_number_format("fp8")->attributes);
  EXPECT_EQ(config.algorithm.method, "max");
}

TEST(QuantConfig, DefaultOfTheObjectFormComesFirst) {
  const auto config = config_of(R"(
    quant_cfg:
      nn.Linear: {'*weight_quantizer': {num_bits: 8, enable: true}, '*input_quantizer': {enable: false}}
      '*lm_head*': {enable: false}
      default: {enable: false}
      '*k_proj*': [{num_bits: 4, enable: true}, {num_bits: 8, enable: true}])");
  ASSERT_EQ(config.entries.size(), 5u);
  EXPECT_EQ(config.entries[0].quantizer_name, "*");
  EXPECT_EQ(config.entries[0].enable, false);
  EXPECT_EQ(config.entries[1].quantizer_name, "*weight_quantizer");
  EXPECT_EQ(config.entries[1].parent_class, "nn.Linear");
  EXPECT_EQ(config.entries[2].enable, false);
  EXPECT_EQ(config.entries[4].cfg->size(), 2u);
  EXPECT_EQ(config.entries[4].enable, true);
}

TEST(QuantConfig, DefaultInAListKeepsItsPlace) {
  const auto config =
      config_of("quant_cfg: [{'*weight_quantizer': {num_bits: 8}}, {default: {enable: false}}]");
  ASSERT_EQ(config.entries.size(), 2u);
  EXPECT_EQ(config.entries[1].quantizer_name, "*");
}

TEST(QuantConfig, AlgorithmDefaultsToMaxAndNullIsNone) {
  EXPECT_EQ(config_of("quant_cfg: []").algorithm.method, "max");
  EXPECT_EQ(config_of("{quant_cfg: [], algorithm: null}").algorithm.method, "none");
  EXPECT_EQ(config_of("{quant_cfg: [], algorithm: {method: null}}").algorithm.method, "none");
}

TEST(QuantConfig, ImportsOfLatheAndOfThePeersRecipes) {
  const auto config = config_of(R"(
    imports: {off: configs/ptq/units/default_disabled_quantizers, f8: configs/numerics/fp8}
    metadata: {recipe_type: ptq}
    quantize:
      quant_cfg:
        - $import: units/base_disable_all
        - {quantizer_name: '*weight_quantizer', cfg: {$import: configs/numerics/nvfp4_static}}
        - {quantizer_name: '*v_bmm_quantizer', cfg: {$import: f8, use_constant_amax: true}}
        - $import: off
      algorithm: {method: mse, fp8_scale_sweep: true})");
  ASSERT_EQ(config.entries.size(), 27u);
  EXPECT_TRUE(config.entries[0].builtin);
  EXPECT_FALSE(config.entries[1].builtin);
  EXPECT_EQ(config.entries[1].cfg->front(), find_number_format("nvfp4_static")->attributes);
  EXPECT_TRUE(config.entries[2].cfg->front().use_constant_amax);
  EXPECT_EQ(config.entries.back().parent_class, "nn.Embedding");
}

TEST(QuantConfig, APresetCanBeImportedAsAWhole) {
  const auto preset = load_preset("mxfp4_mlp_wo", PresetKind::kModel, io::parse_yaml);
  const auto config = config_of(R"(
    imports: {preset: configs/ptq/presets/model/mxfp4_mlp_weight_only}
    metadata: {recipe_type: ptq}
    quantize: {$import: preset})");
  ASSERT_EQ(config.entries.size(), preset.entries.size());
  for (size_t i = 0; i < config.entries.size(); ++i) {
    EXPECT_EQ(config.entries[i].quantizer_name, preset.entries[i].quantizer_name);
    EXPECT_EQ(config.entries[i].cfg, preset.entries[i].cfg);
    EXPECT_TRUE(config.entries[i].builtin);
  }
  EXPECT_EQ(config.algorithm.method, "none");
  EXPECT_EQ(config_of("quantize: {$import: presets/mxfp4, algorithm: max}").algorithm.method,
            "max");
}

TEST(QuantConfig, AnEmptyCfgThatDisablesKeepsTheAttributes) {
  const auto config = config_of("quant_cfg: [{quantizer_name: a, cfg: {}, enable: false}]");
  EXPECT_FALSE(config.entries[0].cfg);
  EXPECT_EQ(config.entries[0].enable, false);
}

struct BadConfig {
  const char* text;
  const char* message;
};

class QuantConfigErrors : public testing::TestWithParam<BadConfig> {};

TEST_P(QuantConfigErrors, NameTheEntryAndTheKey) {
  const auto message = user_error([] { config_of(GetParam().text); });
  expect_contains(message, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, QuantConfigErrors,
    testing::Values(
        BadConfig{"[]", "test.yaml: expected an object"},
        BadConfig{"{algorithm: max}", "test.yaml: quant_cfg is missing"},
        BadConfig{"{quant_config: []}", "(did you mean \"quant_cfg\"?)"},
        BadConfig{"{metadata: {recipe_type: auto_quantize}, auto_quantize: {}}",
                  "test.yaml: recipes of type \"auto_quantize\" are not supported"},
        BadConfig{"quantize: {$import: presets/fp9}", "quantize: there is no recipe presets/fp9"},
        BadConfig{"quantize: {$import: units/kv_fp8}", "quantize: there is no recipe units/kv_fp8"},
        BadConfig{"quant_cfg: [{$import: mine/more}]",
                  "quant_cfg[0]: there is no recipe mine/more to import: Lathe's own can be"},
        BadConfig{"quant_cfg: fp8", "quant_cfg: expected a list of entries or an object"},
        BadConfig{"quant_cfg: [fp8]", "quant_cfg[0]: expected an object"},
        BadConfig{"quant_cfg: [{enable: false}]", "quant_cfg[0]: quantizer_name is missing"},
        BadConfig{"quant_cfg: [{cfg: {num_bits: 8}}]", "quant_cfg[0]: quantizer_name is missing"},
        BadConfig{
            "quant_cfg: [{quantiser_name: a, enable: false}]",
            "quant_cfg[0]: unknown key \"quantiser_name\" (did you mean \"quantizer_name\"?)"},
        BadConfig{"quant_cfg: [{quantizer_name: a}]",
                  "quant_cfg[0] (a): expected cfg, enable or both"},
        BadConfig{"quant_cfg: [{quantizer_name: a, cfg: {}}]",
                  "quant_cfg[0] (a): cfg: expected at least one attribute"},
        BadConfig{"quant_cfg: [{quantizer_name: a, cfg: [{}, {}]}]", "at least one attribute"},
        BadConfig{"quant_cfg: [{quantizer_name: a, cfg: {}, enable: true}]", "at least one"},
        BadConfig{"quant_cfg: [{quantizer_name: a, cfg: [{num_bits: 4}, {num_bitz: 8}]}]",
                  "quant_cfg[0] (a): cfg[1]: unknown key \"num_bitz\""},
        BadConfig{
            "quant_cfg: [{quantizer_name: a, cfg: {num_bits: 8, enable: true}, enable: false}]",
            "enable is given twice"},
        BadConfig{
            "quant_cfg: [{quantizer_name: a, cfg: [{num_bits: 8, enable: true}, {num_bits: 8, "
            "enable: false}]}]",
            "enable is given twice"},
        BadConfig{"quant_cfg: [{quantizer_name: a, enable: yes please}]",
                  "quant_cfg[0] (a): enable: expected true or false"},
        BadConfig{"quant_cfg: [{quantizer_name: a, parent_class: nn.Liner, enable: false}]",
                  "parent_class: no module of class \"nn.Liner\" has quantizers (did you mean "
                  "\"nn.Linear\"?)"},
        BadConfig{"quant_cfg: [{quantizer_name: a, cfg: 8}]", "cfg: expected an object, found 8"},
        BadConfig{"quant_cfg: [{$import: units/kv_fp9}]", "there is no recipe units/kv_fp9"},
        BadConfig{"quant_cfg: [{$import: presets/fp8}]", "there is no recipe presets/fp8"},
        BadConfig{"quant_cfg: [{$import: [1]}]", "$import: expected a string"},
        BadConfig{"quant_cfg: [{quantizer_name: a, cfg: {$import: configs/numerics/fp9}}]",
                  "(did you mean \"fp8\"?)"},
        BadConfig{"quant_cfg: {'*weight_quantizer': {num_bits: 9}}",
                  "quant_cfg (*weight_quantizer).num_bits"},
        BadConfig{"quant_cfg: {'*weight_quantizer': {}}", "at least one attribute"},
        BadConfig{"quant_cfg: {'*weight_quantizer': 8}", "expected attributes of a quantizer"},
        BadConfig{"quant_cfg: {nn.Linear: {'*': {num_bit: 8}}}", "quant_cfg (nn.Linear: *)"},
        BadConfig{"quant_cfg: {nn.Linear: 8}", "quant_cfg (nn.Linear): expected an object"},
        BadConfig{"{quant_cfg: [], algorithm: awq_light}", "(did you mean \"awq_lite\"?)"},
        BadConfig{"{quant_cfg: [], algorithm: [max]}", "algorithm: expected an object"},
        BadConfig{"{quant_cfg: [], effective_bits: 0}", "above 0"}));

}  // namespace
}  // namespace lathe::quantization
