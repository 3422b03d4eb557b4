#include "trace/axes.h"

#include <gtest/gtest.h>

namespace lathe::trace {
namespace {

using Positions = std::vector<int64_t>;

TEST(Axes, TiedAxesAreOne) {
  AxisTable axes;
  const AxisId a = axes.fresh(8), b = axes.fresh(8), c = axes.fresh(8);
  EXPECT_TRUE(axes.tie(a, b));
  EXPECT_TRUE(axes.tie(c, b));
  EXPECT_EQ(axes.find(a), axes.find(c));
  axes.fix(b, "of a test");
  EXPECT_TRUE(axes.is_fixed(a));
  EXPECT_EQ(axes.reason(c), "of a test");
  EXPECT_FALSE(axes.tie(axes.fresh(8), axes.fresh(4)));
}

TEST(Axes, OneUnitCannotBeTakenAway) {
  AxisTable axes;
  EXPECT_TRUE(axes.is_fixed(axes.fresh(1)));
  EXPECT_FALSE(axes.is_fixed(axes.fresh(2)));
  EXPECT_TRUE(axes.is_fixed(axes.constant(2)));
}

/// [12] as [3, 4] and as [6, 2] is [3, 2, 2].
TEST(Axes, ProductsAreRefinedUntilTheyFit) {
  AxisTable axes;
  const AxisId axis = axes.fresh(12);
  const auto rough = axes.split_product(axis, {3, 4});
  const auto fine = axes.split_product(axis, {6, 2});
  EXPECT_EQ(axes.atoms(axis).size(), 3u);
  EXPECT_EQ(axes.atoms(rough[1]).size(), 2u);
  EXPECT_EQ(axes.atoms(fine[0]),
            (std::vector<AxisId>{axes.find(rough[0]), axes.atoms(rough[1])[0]}));
  EXPECT_EQ(axes.positions(axis, axes.atoms(axis)[0], 1), (Positions{4, 5, 6, 7}));
  EXPECT_EQ(axes.positions(axis, axes.atoms(axis)[1], 0), (Positions{0, 1, 4, 5, 8, 9}));
  EXPECT_EQ(axes.positions(axis, fine[1], 1), (Positions{1, 3, 5, 7, 9, 11}));
}

TEST(Axes, AReshapeThatCutsThroughFixes) {
  AxisTable axes;
  const AxisId axis = axes.fresh(12), other = axes.fresh(5);
  const auto parts = axes.reshape({axis, other}, {5, 12});
  EXPECT_EQ(parts.size(), 2u);
  EXPECT_TRUE(axes.is_fixed(parts[0]));
  for (const AxisId atom : axes.atoms(axis)) EXPECT_TRUE(axes.is_fixed(atom));
}

TEST(Axes, ReshapesRoundTrip) {
  AxisTable axes;
  const AxisId c = axes.fresh(8), h = axes.constant(4), w = axes.constant(4);
  const auto flat = axes.reshape({c, h, w}, {128});
  const auto back = axes.reshape(flat, {8, 4, 4});
  EXPECT_EQ(axes.find(back[0]), axes.find(c));
  EXPECT_EQ(axes.positions(flat[0], c, 2).size(), 16u);
  EXPECT_EQ(axes.positions(flat[0], c, 2).front(), 32);
}

TEST(Axes, SumsAreCutUntilTheyFit) {
  AxisTable axes;
  const AxisId a = axes.fresh(4), b = axes.fresh(6), whole = axes.fresh(10);
  EXPECT_TRUE(axes.tie(whole, axes.sum({a, b})));
  const auto parts = axes.split_sum(whole, {4, 2, 4});
  EXPECT_EQ(axes.find(parts[0]), axes.find(a));
  EXPECT_EQ(axes.atoms(b).size(), 2u);
  EXPECT_EQ(axes.positions(whole, parts[1], 0), Positions{4});
  EXPECT_EQ(axes.positions(whole, axes.atoms(b)[1], 1), Positions{7});
}

TEST(Axes, OneAxisTwiceInASum) {
  AxisTable axes;
  const AxisId a = axes.fresh(3), twice = axes.sum({a, a});
  EXPECT_EQ(axes.atoms(twice), std::vector<AxisId>{axes.find(a)});
  EXPECT_EQ(axes.positions(twice, a, 1), (Positions{1, 4}));
}

TEST(Axes, SumsAndProductsDoNotFit) {
  AxisTable axes;
  const AxisId a = axes.fresh(4), b = axes.fresh(4), c = axes.fresh(2), d = axes.fresh(4);
  EXPECT_FALSE(axes.tie(axes.sum({a, b}), axes.product({c, d})));
  for (const AxisId axis : {a, b, c, d}) EXPECT_TRUE(axes.is_fixed(axis));
}

TEST(Axes, AnAxisIsNotAPartOfItself) {
  AxisTable axes;
  const AxisId a = axes.fresh(4), one = axes.constant(1);
  EXPECT_EQ(axes.find(axes.product({a, one})), axes.find(a));
  EXPECT_TRUE(axes.tie(a, axes.product({one, a})));
}

}  // namespace
}  // namespace lathe::trace
