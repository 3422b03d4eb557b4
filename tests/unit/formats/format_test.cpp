#include "formats/format.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace lathe::formats {
namespace {

TEST(Format, NamesGoBothWays) {
  EXPECT_GE(named_formats().size(), 16u);
  for (const NamedFormat& named : named_formats()) {
    EXPECT_EQ(format_from_name(named.name), named.format);
    EXPECT_EQ(format_name(named.format), named.name);
  }
  EXPECT_EQ(format_from_name("fp7"), std::nullopt);
  EXPECT_EQ(format_name({kInt4, {1, 64}}), "int4 1x64 float32");
}

TEST(Format, BitsPerWeightCountScales) {
  EXPECT_EQ(bits_per_weight(kNvfp4), 4.5);
  EXPECT_EQ(bits_per_weight(kMxfp4), 4.25);
  EXPECT_EQ(bits_per_weight(kMxfp8), 8.25);
  EXPECT_EQ(bits_per_weight(kInt4Block), 4.25);
  EXPECT_EQ(bits_per_weight(kFp8), 8.0);
  EXPECT_EQ(bits_per_weight(kFp8Block2d), 8.0 + 32.0 / 16384.0);
}

TEST(GridShape, RoundsUp) {
  EXPECT_EQ(grid_shape(kPerTensor, 5, 7), (GridShape{1, 1}));
  EXPECT_EQ(grid_shape(kPerChannel, 5, 7), (GridShape{5, 1}));
  EXPECT_EQ(grid_shape({1, 16}, 5, 33), (GridShape{5, 3}));
  EXPECT_EQ(grid_shape({128, 128}, 129, 256), (GridShape{2, 2}));
  EXPECT_EQ(grid_shape({0, 4}, 129, 256), (GridShape{1, 64}));
  EXPECT_EQ(grid_shape({1, 16}, 0, 33).size(), 0);
  EXPECT_THROW(grid_shape({-1, 0}, 5, 7), InternalError);
}

}  // namespace
}  // namespace lathe::formats
