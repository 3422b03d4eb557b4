#include "quantization/scale_groups.h"

#include <gtest/gtest.h>

#include "ir/text.h"
#include "quantization/kv_cache.h"
#include "quantization/shape_problems.h"
#include "testing.h"
#include "unit/ops/small_model.h"

namespace lathe::quantization {
namespace {

using Entries = std::vector<std::pair<std::string, QuantizerAttributes>>;

/// The first block's q, k, v of a converted model, which are its first group.
struct Group {
  explicit Group(const Entries& entries) : conversion(convert_all(*model, resolver_of(entries))) {}

  const QuantizedLayer& layer(const std::string& name) const {
    return *conversion.find("model.layers.0." + name);
  }
  TensorQuantizer& weight(const std::string& name) const { return *layer(name).weight; }
  TensorQuantizer& input(const std::string& name) const { return *layer(name).input; }
  void finish(bool fuse_scales) const {
    finish_group(conversion, conversion.groups[0], {.fuse_scales = fuse_scales});
  }

  ir::ModulePtr model = ops::small_model();
  Conversion conversion;
};

TEST(ScaleGroups, Fp8WeightsShareAScaleIfTheyAreFused) {
  for (const bool fuse : {true, false}) {
    const Group group({{"*weight_quantizer", attributes_of("fp8")}});
    group.weight("q_proj").set_amax({2});
    group.weight("k_proj").set_amax({4});
    group.weight("v_proj").set_amax({1});
    group.finish(fuse);
    for (const auto& [name, amax] :
         {std::pair("q_proj", 2.0f), {"k_proj", 4.0f}, {"v_proj", 1.0f}}) {
      const float expected = (fuse ? 4.0f : amax) / 448;
      EXPECT_EQ(group.weight(name).scales().values, std::vector<float>{expected});
      EXPECT_EQ(group.weight(name).amax(), std::vector<float>{amax});
    }
  }
}

TEST(ScaleGroups, NvFp4WeightsShareTheGlobalScaleInAnyCase) {
  for (const bool fuse : {true, false}) {
    const Group group({{"*weight_quantizer", attributes_of("nvfp4")}});
    group.weight("q_proj").set_amax({2});
    group.weight("k_proj").set_amax({4});
    group.weight("v_proj").set_amax({1});
    group.finish(fuse);
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      EXPECT_EQ(group.weight(name).scales().global_scale, 4.0f / (6 * 448));
  }
}

/// [8, 8] weights whose 2-D blocks are of `rows` x `columns`.
QuantizerAttributes squares(int rows, int columns) {
  return {.num_bits = kE4M3, .block_sizes = BlockSizes{.sizes = {{-1, columns}, {-2, rows}}}};
}

TEST(ScaleGroups, WeightsOfOneBlockShareItsScaleInAnyCase) {
  for (const bool fuse : {true, false}) {
    const Group group({{"*weight_quantizer", squares(128, 128)}});
    group.weight("q_proj").set_amax({2});
    group.weight("k_proj").set_amax({4});
    group.weight("v_proj").set_amax({1});
    group.finish(fuse);
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      EXPECT_EQ(group.weight(name).scales().values, std::vector<float>{4.0f / 448}) << name;
  }
}

TEST(ScaleGroups, WeightsOfSeveralBlocksKeepTheirScales) {
  const Group group({{"*weight_quantizer", squares(4, 8)}});
  group.weight("q_proj").set_amax({2, 1});
  group.weight("k_proj").set_amax({4, 8});
  group.weight("v_proj").set_amax({1, 1});
  group.finish(true);
  EXPECT_EQ(group.weight("q_proj").scales().values, (std::vector<float>{2.0f / 448, 1.0f / 448}));
  EXPECT_EQ(group.weight("k_proj").scales().values, (std::vector<float>{4.0f / 448, 8.0f / 448}));
}

TEST(ScaleGroups, IntegersBelowFp8ShareItsScaleInAnyCase) {
  QuantConfig config;
  const QuantizerAttributes blocks = {.num_bits = NumBits::integer(4),
                                      .block_sizes = BlockSizes{.sizes = {{-1, 8}}}};
  config.entries.push_back({.quantizer_name = "*", .enable = false});
  config.entries.push_back(
      {.quantizer_name = "*weight_quantizer", .cfg = std::vector{blocks, attributes_of("fp8")}});
  for (const bool fuse : {true, false}) {
    const ir::ModulePtr model = ops::small_model();
    const Conversion conversion = convert_all(*model, QuantizerResolver(config));
    const auto weight = [&](const char* name) -> TensorQuantizer& {
      return *conversion.find(std::string("model.layers.0.") + name)->weight;
    };
    weight("q_proj").set_amax(std::vector<float>(8, 7));
    weight("k_proj").set_amax({7, 7, 7, 7, 7, 7, 7, 14});
    weight("v_proj").set_amax(std::vector<float>(8, 3.5));
    finish_group(conversion, conversion.groups[0], {.fuse_scales = fuse});
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      EXPECT_EQ(weight(name).scales().global_scale, 14.0f / 448) << name;
    EXPECT_EQ(weight("q_proj").scales().values, std::vector<float>(8, 1)) << "blocks keep theirs";
  }
}

/// Gate and up of an expert are one weight to engines.
TEST(ScaleGroups, ProjectionsOfAnExpertShareAScaleInAnyCase) {
  for (const char* format : {"fp8", "int8"}) {
    Group group({{"*weight_quantizer", attributes_of(format)}});
    group.conversion.expert_inputs = {{group.conversion.groups[0][0]}};
    group.weight("q_proj").set_amax({2});
    group.weight("k_proj").set_amax({4});
    group.weight("v_proj").set_amax({1});
    group.finish(false);
    const float scale = group.weight("k_proj").scales().values.at(0);
    for (const char* name : {"q_proj", "v_proj"})
      EXPECT_EQ(group.weight(name).scales().values, std::vector<float>{scale}) << format;
  }
}

/// Of experts in one tensor, which has one such scale for all of them.
TEST(ScaleGroups, WeightsInOneTensorShareWhatAllOfItHas) {
  for (const char* format : {"fp8", "nvfp4", "int8"}) {
    const Group group({{"*weight_quantizer", attributes_of(format)}});
    const std::vector<size_t> all = group.conversion.groups[0];
    group.weight("q_proj").set_amax({2});
    group.weight("k_proj").set_amax({4});
    group.weight("v_proj").set_amax({1});
    for (const size_t layer : all) group.conversion.layers[layer].weight->finish();
    finish_fused_weights(group.conversion, all);
    const auto scale = [&](const char* name) {
      const formats::Scales& scales = group.weight(name).scales();
      return scales.values.empty() ? scales.global_scale : scales.values[0];
    };
    EXPECT_EQ(scale("q_proj"), scale("k_proj")) << format;
    EXPECT_EQ(scale("v_proj"), scale("k_proj")) << format;
    EXPECT_EQ(group.weight("q_proj").amax(), std::vector<float>{2}) << format;
  }
}

TEST(ScaleGroups, WeightsOfOtherFormatsInOneTensorAreLeftAlone) {
  const Group group({{"*weight_quantizer", attributes_of("fp8")},
                     {"*v_proj.weight_quantizer", attributes_of("int8")}});
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    group.weight(name).set_amax({name[0] == 'k' ? 4.0f : 2.0f});
    group.weight(name).finish();
  }
  finish_fused_weights(group.conversion, group.conversion.groups[0]);
  EXPECT_EQ(group.weight("q_proj").scales().values, std::vector<float>{2.0f / 448});
}

TEST(ScaleGroups, ChannelsInOneTensorKeepTheirScales) {
  const Group group({{"*weight_quantizer", attributes_of("int8_per_channel")}});
  const std::vector<size_t> all = group.conversion.groups[0];
  group.weight("q_proj").set_amax(std::vector<float>(8, 127));
  group.weight("k_proj").set_amax(std::vector<float>(8, 254));
  for (const char* name : {"q_proj", "k_proj"}) group.weight(name).finish();
  finish_fused_weights(group.conversion, all);
  EXPECT_EQ(group.weight("q_proj").scales().values, std::vector<float>(8, 1));
}

TEST(ScaleGroups, ChannelsAndBlocksKeepTheirScales) {
  const Group group({{"*weight_quantizer", attributes_of("int8_per_channel")}});
  group.weight("q_proj").set_amax(std::vector<float>(8, 127));
  group.weight("k_proj").set_amax(std::vector<float>(8, 254));
  group.finish(true);
  EXPECT_EQ(group.weight("q_proj").scales().values, std::vector<float>(8, 1));
  EXPECT_EQ(group.weight("k_proj").scales().values, std::vector<float>(8, 2));
  EXPECT_FALSE(group.weight("v_proj").has_scales()) << "it saw nothing";
}

TEST(ScaleGroups, InputsTakeTheLeadersAmax) {
  const Group group({{"*input_quantizer", attributes_of("fp8")}});
  group.input("q_proj").set_amax({3});
  group.finish(true);
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    EXPECT_EQ(group.input(name).amax(), std::vector<float>{3});
    EXPECT_EQ(group.input(name).scales().values, std::vector<float>{3.0f / 448});
  }
}

TEST(ScaleGroups, DisabledAndDynamicMembersStayOut) {
  const Group group({{"*input_quantizer", attributes_of("fp8")},
                     {"*q_proj.input_quantizer", attributes_of("mxfp8")}});
  group.input("v_proj").set_enabled(false);
  group.input("k_proj").set_amax({3});
  group.finish(true);
  EXPECT_FALSE(group.input("q_proj").has_amax()) << "its scales are dynamic";
  EXPECT_FALSE(group.input("v_proj").has_amax()) << "it is off";
  EXPECT_TRUE(group.input("k_proj").has_scales());
}

TEST(ScaleGroups, NothingSeenGivesNoScales) {
  const Group group({{"*", attributes_of("fp8")}});
  group.finish(true);
  EXPECT_FALSE(group.weight("q_proj").has_scales());
  EXPECT_FALSE(group.input("q_proj").has_scales());
  EXPECT_FALSE(group.layer("q_proj").output->has_scales());
  group.layer("q_proj").output->set_amax({448});
  group.finish(true);
  EXPECT_TRUE(group.layer("q_proj").output->has_scales());
}

TEST(ScaleGroups, WeightMembersAreThoseThatAreOn) {
  const Group group({{"*[qv]_proj.weight_quantizer", attributes_of("fp8")}});
  const auto members = weight_members(group.conversion, group.conversion.groups[0]);
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[1]->path, "model.layers.0.v_proj");
}

TEST(ScaleGroups, WhichFormatsShare) {
  EXPECT_TRUE(shares_weight_scale(formats::kFp8, {.fuse_scales = true}));
  EXPECT_FALSE(shares_weight_scale(formats::kFp8, {.fuse_scales = false}));
  EXPECT_TRUE(shares_weight_scale(formats::kInt8PerTensor, {.fuse_scales = true}));
  EXPECT_FALSE(shares_weight_scale(formats::kFp8PerChannel, {.fuse_scales = true}));
  EXPECT_FALSE(shares_weight_scale(formats::kInt4Block, {.fuse_scales = true}));
  EXPECT_FALSE(shares_weight_scale(formats::kMxfp4, {.fuse_scales = true}));
  EXPECT_TRUE(shares_weight_scale(formats::kNvfp4, {.fuse_scales = false}));
}

TEST(ScaleGroups, MixedFormatsAreProblems) {
  const Group mixed({{"*weight_quantizer", attributes_of("fp8")},
                     {"*layers.0.[kv]_proj.weight_quantizer", attributes_of("int8")},
                     {"*layers.1.o_proj.weight_quantizer", attributes_of("int8")},
                     {"*layers.2.up.weight_quantizer", attributes_of("nvfp4")}});
  EXPECT_EQ(mixed_group_problems(mixed.conversion),
            (std::vector<std::string>{
                "model.layers.0.q_proj (fp8 per-tensor) and model.layers.0.k_proj (int8 "
                "per-tensor) read the same value and need one format",
                "model.layers.2.gate (fp8 per-tensor) and model.layers.2.up (nvfp4 block 16 "
                "dynamic) read the same value and need one format"}));
  const Group partly({{"*q_proj.weight_quantizer", attributes_of("fp8")}});
  EXPECT_TRUE(mixed_group_problems(partly.conversion).empty()) << "those that are off do not count";
}

TEST(ScaleGroups, CacheScalesAreWhatACheckpointSays) {
  EXPECT_EQ(kv_cache_scale(448), 1.0f);
  EXPECT_EQ(kv_cache_scale(3), 3.0f / 448);
  EXPECT_EQ(kv_cache_scale(0), 1.0f);
  EXPECT_EQ(kv_quantizer_scales(formats::kFp8, 0.5f).values, std::vector<float>{0.5f});
  EXPECT_EQ(kv_quantizer_scales(formats::kNvfp4, 0.5f).global_scale, 0.5f / 6);
}

TEST(ScaleGroups, AttentionsUseThem) {
  const Group group({{"*k_bmm_quantizer", attributes_of("nvfp4")},
                     {"*v_bmm_quantizer", attributes_of("fp8")},
                     {"*q_bmm_quantizer", attributes_of("int8")}});
  const QuantizedAttention& attention = group.conversion.attentions[0];
  finish_attention(attention);
  EXPECT_FALSE(attention.key->has_scales()) << "nothing was seen";
  for (TensorQuantizer* quantizer : {attention.query, attention.key, attention.value})
    quantizer->set_amax({5});
  finish_attention(attention);
  EXPECT_EQ(attention.key->scales().global_scale, (5.0f / 448) / 6);
  EXPECT_EQ(attention.value->scales().values, std::vector<float>{5.0f / 448});
  EXPECT_EQ(attention.query->scales().values, std::vector<float>{5.0f / 127});
}

TEST(ShapeProblems, AreListedAllAtOnce) {
  const ir::ModulePtr root = ir::parse_module(
      "module Model { child a: Linear { parameter weight: bf16[8, 576] &1 }\n"
      "child b: Linear { parameter weight: bf16[8, 512] &2 }\n"
      "child c: Linear { parameter weight: bf16[200, 256] &3 }\n"
      "child d: Linear { parameter weight: bf16[3, 17] &4 }\n"
      "child e: Linear { parameter weight: bf16[3, 17] &5 } }");
  const QuantizerAttributes squares = {.num_bits = kE4M3,
                                       .block_sizes = BlockSizes{.sizes = {{-1, 128}, {-2, 128}}}};
  const Conversion conversion =
      convert_all(*root, resolver_of({{"[ab].weight_quantizer", attributes_of("int4")},
                                      {"c.weight_quantizer", squares},
                                      {"d.weight_quantizer", attributes_of("int8_per_channel")},
                                      {"d.input_quantizer", attributes_of("nvfp4")}}));
  EXPECT_EQ(shape_problems(conversion),
            (std::vector<std::string>{
                "a: the weight [8, 576] does not divide into blocks of 128 (int4 block 128)"}));
}

}  // namespace
}  // namespace lathe::quantization
