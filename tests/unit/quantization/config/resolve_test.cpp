#include "quantization/config/resolve.h"

#include <gtest/gtest.h>

#include "quantization/config/presets.h"
#include "unit/quantization/config/config_testing.h"

namespace lathe::quantization {
namespace {

QuantizerResolver resolver_of(std::string_view text) { return QuantizerResolver(config_of(text)); }

TEST(Resolve, WhatNoEntryMatchesIsInt8) {
  const auto resolver = resolver_of("quant_cfg: []");
  const auto input = resolver.resolve("layer.input_quantizer", "nn.Linear");
  EXPECT_TRUE(input.enabled);
  EXPECT_FALSE(input.entry);
  EXPECT_EQ(*input.stages, std::vector{QuantizerAttributes{}});
  const auto weight = resolver.resolve("layer.weight_quantizer", "torch.nn.Linear");
  EXPECT_EQ(weight.stages->front().axis, std::vector<int>{0});
  EXPECT_FALSE(resolver.resolve("layer.output_quantizer", "Linear").enabled);
}

TEST(Resolve, TheLastEntryWinsAndReplacesEverything) {
  const auto resolver = resolver_of(R"(
    quant_cfg:
      - {quantizer_name: '*', cfg: {num_bits: 4, narrow_range: true}}
      - {quantizer_name: '*weight_quantizer', cfg: {axis: 0}}
      - {quantizer_name: 'a.*', enable: false})");
  const auto weight = resolver.resolve("a.weight_quantizer", "Linear");
  EXPECT_FALSE(weight.enabled);
  EXPECT_EQ(weight.entry, 1u);
  EXPECT_EQ(weight.stages->front(), (QuantizerAttributes{.axis = {0}}));
  const auto input = resolver.resolve("b.input_quantizer", "Linear");
  EXPECT_TRUE(input.enabled);
  EXPECT_TRUE(input.stages->front().narrow_range);
}

TEST(Resolve, ParentClassWithAndWithoutItsModule) {
  const auto resolver =
      resolver_of("quant_cfg: [{quantizer_name: '*', parent_class: nn.Conv2d, enable: false}]");
  EXPECT_FALSE(resolver.resolve("c.input_quantizer", "Conv2d").enabled);
  EXPECT_FALSE(resolver.resolve("c.input_quantizer", "nn.Conv2d").enabled);
  EXPECT_TRUE(resolver.resolve("c.input_quantizer", "Conv1d").enabled);
}

TEST(Resolve, EntriesThatSayWhichModulesTheyMean) {
  const auto named = [](const std::string& entry) {
    const auto resolver = resolver_of("quant_cfg: [{" + entry + ", cfg: {num_bits: 4}}]");
    return resolver.resolve("model.embed_tokens.weight_quantizer", "nn.Embedding").module_is_named;
  };
  EXPECT_FALSE(named("quantizer_name: '*'"));
  EXPECT_FALSE(named("quantizer_name: '*weight_quantizer'"));
  EXPECT_FALSE(named("quantizer_name: '*quantizer'"));
  EXPECT_FALSE(named("quantizer_name: '*weight_quantizer', parent_class: nn.Linear"));
  EXPECT_TRUE(named("quantizer_name: '*weight_quantizer', parent_class: nn.Embedding"));
  EXPECT_TRUE(named("quantizer_name: '*embed_tokens*'"));
}

TEST(Resolve, FusedExpertsMatchWithoutTheirIndex) {
  const auto resolver = resolver_of(R"(
    quant_cfg:
      - {quantizer_name: '*weight_quantizer', cfg: {num_bits: 4}}
      - {quantizer_name: '*weight_quantizers.3', enable: false})");
  const auto bits = [&](const char* name) {
    return resolver.resolve(name, "").stages->front().num_bits.bits;
  };
  EXPECT_EQ(bits("experts.up_weight_quantizers.12"), 4);
  EXPECT_EQ(bits("experts.up_weight_quantizer.12"), 4);
  EXPECT_EQ(bits("experts.up_weight_quantizers.x"), 8);
  EXPECT_FALSE(resolver.resolve("experts.up_weight_quantizers.3", "").enabled);
  EXPECT_TRUE(resolver.resolve("experts.up_weight_quantizers.4", "").enabled);
}

TEST(Resolve, AHeadThatIsCalledEmbedOutIsTheHead) {
  const auto resolver = resolver_of("quant_cfg: [{quantizer_name: '*lm_head*', enable: false}]");
  EXPECT_FALSE(resolver.resolve("embed_out.weight_quantizer", "Linear").enabled);
  EXPECT_TRUE(resolver.resolve("model.embed_out.weight_quantizer", "Linear").enabled);
  EXPECT_TRUE(
      resolver
          .unmatched_entries(std::vector<QuantizerName>{{"embed_out.weight_quantizer", "Linear"}})
          .empty());
}

TEST(Resolve, UnmatchedEntriesAreThoseOfTheUser) {
  const auto resolver = resolver_of(R"(
    quant_cfg:
      - $import: units/default_disabled_quantizers
      - {quantizer_name: '*weight_quantizer', cfg: {num_bits: 8}}
      - {quantizer_name: '*lm_heed*', enable: false}
      - {quantizer_name: '*', parent_class: nn.Conv2d, enable: false})");
  const std::vector<QuantizerName> names = {{"a.weight_quantizer", "Linear"}};
  const auto unmatched = resolver.unmatched_entries(names);
  ASSERT_EQ(unmatched.size(), 2u);
  EXPECT_EQ(resolver.config().entries[unmatched[0]].quantizer_name, "*lm_heed*");
  EXPECT_EQ(resolver.config().entries[unmatched[1]].parent_class, "nn.Conv2d");
}

TEST(Resolve, ALargeModel) {
  const QuantizerResolver resolver(
      load_preset("nvfp4_mlp_only", PresetKind::kModel, io::parse_yaml));
  size_t enabled = 0;
  for (int layer = 0; layer < 100; ++layer) {
    for (int expert = 0; expert < 1000; ++expert) {
      const auto name = "model.layers." + std::to_string(layer) + ".mlp.experts." +
                        std::to_string(expert) + ".down_proj.input_quantizer";
      enabled += resolver.resolve(name, "Linear").enabled;
    }
  }
  EXPECT_EQ(enabled, 100000u);
}

}  // namespace
}  // namespace lathe::quantization
