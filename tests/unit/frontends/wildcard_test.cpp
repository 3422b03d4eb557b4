#include "frontends/wildcard.h"

#include <gtest/gtest.h>

namespace lathe::frontends {
namespace {

TEST(Wildcard, MatchesWholeText) {
  EXPECT_TRUE(matches_wildcard("lm_head", "lm_head"));
  EXPECT_FALSE(matches_wildcard("lm_head", "lm_head2"));
  EXPECT_FALSE(matches_wildcard("head", "lm_head"));
  EXPECT_TRUE(matches_wildcard("", ""));
  EXPECT_FALSE(matches_wildcard("", "a"));
}

TEST(Wildcard, StarStandsForAnything) {
  EXPECT_TRUE(matches_wildcard("model.layers.1*", "model.layers.11.mlp"));
  EXPECT_TRUE(matches_wildcard("*.gate", "model.layers.0.gate"));
  EXPECT_FALSE(matches_wildcard("*.gate", "model.layers.0.gate_proj"));
  EXPECT_TRUE(matches_wildcard("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(matches_wildcard("a*b*c", "a-c-b"));
  EXPECT_TRUE(matches_wildcard("*", ""));
  EXPECT_TRUE(matches_wildcard("a**", "a"));
}

}  // namespace
}  // namespace lathe::frontends
