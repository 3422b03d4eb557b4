#include "export/modelopt/exclude_modules.h"

#include <gtest/gtest.h>

namespace lathe::exporting {
namespace {

using Names = std::vector<std::string>;

TEST(ExcludePatterns, ANameThatSharesEveryPrefixStandsForItself) {
  EXPECT_EQ(exclude_patterns({"model.embed_tokens", "lm_head"}, {"model.layers.0.mlp.up_proj"}),
            (Names{"lm_head", "model.embed_tokens"}));
}

TEST(ExcludePatterns, AWholeTreeIsOnePattern) {
  EXPECT_EQ(exclude_patterns({"visual.blocks.0.qkv", "visual.blocks.1.qkv", "mtp.fc"},
                             {"model.layers.0.q_proj"}),
            (Names{"mtp*", "visual*"}));
}

TEST(ExcludePatterns, APatternNeverMatchesAQuantizedName) {
  // "model.layers.1*" would match layer 10.
  EXPECT_EQ(exclude_patterns({"model.layers.1.q_proj"}, {"model.layers.10.q_proj"}),
            (Names{"model.layers.1.*"}));
  EXPECT_EQ(exclude_patterns({"model.layers.1.q_proj"},
                             {"model.layers.10.q_proj", "model.layers.1.k_proj"}),
            (Names{"model.layers.1.q_proj"}));
  // The prefix itself is quantized.
  EXPECT_EQ(exclude_patterns({"head.sub"}, {"head"}), (Names{"head.sub"}));
}

TEST(ExcludePatterns, RoutersAreListedLayerByLayer) {
  EXPECT_EQ(exclude_patterns(
                {"model.layers.1.mlp.gate", "model.layers.0.mlp.gate"},
                {"model.layers.0.mlp.experts.0.up_proj", "model.layers.1.mlp.experts.0.up_proj"}),
            (Names{"model.layers.0.mlp.gate", "model.layers.1.mlp.gate"}));
}

TEST(ExcludePatterns, NothingQuantized) {
  EXPECT_EQ(exclude_patterns({"model.layers.0.q_proj", "lm_head"}, {}),
            (Names{"lm_head", "model*"}));
}

}  // namespace
}  // namespace lathe::exporting
