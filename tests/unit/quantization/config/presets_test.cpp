#include "quantization/config/presets.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "quantization/config/resolve.h"
#include "unit/quantization/config/config_testing.h"

namespace lathe::quantization {
namespace {

namespace fs = std::filesystem;

TEST(Presets, EveryOneLoadsAndHasTheAlgorithmOfTheTable) {
  for (const auto& preset : list_presets()) {
    const auto config = load_preset(preset.friendly, preset.kind, io::parse_yaml);
    EXPECT_FALSE(config.entries.empty()) << preset.friendly;
    EXPECT_EQ(config.algorithm.method, preset.algorithm) << preset.friendly;
    EXPECT_FALSE(preset.summary.empty()) << preset.friendly;
    EXPECT_EQ(find_preset(preset.friendly, preset.kind), &preset);
    if (preset.name.empty()) continue;
    EXPECT_EQ(find_preset(preset.name, preset.kind), &preset);
  }
}

TEST(Presets, TheRecipesOfTheSourceTreeAreTheOnesBuiltIn) {
  const fs::path root = fs::path(LATHE_SOURCE_DIR) / "recipes";
  std::set<std::string> on_disk;
  for (const char* folder : {"units", "presets", "kv"}) {
    for (const auto& file : fs::directory_iterator(root / folder)) {
      on_disk.insert(fs::relative(file.path(), root).replace_extension().string());
    }
  }
  std::set<std::string> built_in;
  for (const auto& recipe : embedded_recipes()) {
    built_in.emplace(recipe.name);
    std::ifstream file(root / (std::string(recipe.name) + ".yaml"));
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_EQ(recipe.text, text.str()) << recipe.name;
  }
  EXPECT_EQ(built_in, on_disk);
}

TEST(Presets, EveryPresetRecipeIsInTheTable) {
  std::set<std::string_view> in_table;
  for (const auto& preset : list_presets()) in_table.insert(preset.recipe);
  for (const auto& recipe : embedded_recipes()) {
    if (recipe.name.starts_with("units/")) continue;
    EXPECT_TRUE(in_table.contains(recipe.name)) << recipe.name;
  }
}

TEST(Presets, UnknownNamesGetASuggestion) {
  const auto load = [](const char* name, PresetKind kind) {
    return user_error([&] { load_preset(name, kind, io::parse_yaml); });
  };
  expect_contains(load("nvpf4", PresetKind::kModel),
                  "there is no format \"nvpf4\" (did you mean \"nvfp4\"?)");
  expect_contains(load("FP8_KV_CGF", PresetKind::kKvCache), "(did you mean \"FP8_KV_CFG\"?)");
  expect_contains(load("", PresetKind::kKvCache), "known: fp8, nvfp4, fp8_cast");
  expect_contains(load("FP8_AFFINE_KV_CFG", PresetKind::kModel),
                  "FP8_AFFINE_KV_CFG is a format of the KV cache: --kv-cache fp8_affine");
  expect_contains(load("NVFP4_AWQ_LITE_CFG", PresetKind::kKvCache),
                  "NVFP4_AWQ_LITE_CFG is a format of models: --format nvfp4_awq");
}

TEST(Presets, KvCacheJoinsAModelPreset) {
  const auto base = load_preset("fp8", PresetKind::kModel, io::parse_yaml);
  for (const char* kv : {"nvfp4", "nvfp4_rotate"}) {
    const QuantizerResolver resolver(
        with_kv_cache(base, load_preset(kv, PresetKind::kKvCache, io::parse_yaml)));
    const auto key = resolver.resolve("model.layers.0.self_attn.k_bmm_quantizer", "LlamaAttention");
    EXPECT_TRUE(key.enabled);
    EXPECT_EQ(key.stages->front().num_bits, kE2M1);
    EXPECT_TRUE(resolver.resolve("model.layers.0.mlp.up_proj.weight_quantizer", "Linear").enabled);
    EXPECT_FALSE(resolver.resolve("lm_head.weight_quantizer", "Linear").enabled);
    EXPECT_FALSE(resolver.resolve("vision_tower.layers.0.attn.k_bmm_quantizer", "").enabled);
  }
}

TEST(Presets, KvCacheAlone) {
  const QuantizerResolver resolver(
      with_kv_cache({}, load_preset("fp8_cast", PresetKind::kKvCache, io::parse_yaml)));
  EXPECT_TRUE(resolver.resolve("layers.0.self_attn.v_bmm_quantizer", "").enabled);
  EXPECT_FALSE(resolver.resolve("layers.0.self_attn.q_bmm_quantizer", "").enabled);
  EXPECT_FALSE(resolver.resolve("layers.0.self_attn.q_proj.weight_quantizer", "Linear").enabled);
}

}  // namespace
}  // namespace lathe::quantization
