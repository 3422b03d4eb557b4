#include "formats/scale.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/float16.h"
#include "formats/e8m0.h"

namespace lathe::formats {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLeast = std::numeric_limits<float>::min();
constexpr float kMost = std::numeric_limits<float>::max();

// ceil(log2(amax / bound)) is the smallest exponent that does not saturate; ldexp in double is
// exact.
void expect_smallest_exponent(float amax, float bound) {
  const int exponent = e8m0_from_amax(amax, bound) - 127;
  EXPECT_LE(amax, std::ldexp(static_cast<double>(bound), exponent)) << amax;
  if (exponent > -127) {
    EXPECT_GT(amax, std::ldexp(static_cast<double>(bound), exponent - 1)) << amax;
  }
}

TEST(E8M0, IsTheSmallestScaleThatHoldsAmax) {
  for (const float bound : {448.0f, 57344.0f, 28.0f, 7.5f, 6.0f, 127.0f}) {
    for (uint32_t bits = 1; bits < 0x7f80; ++bits) {
      expect_smallest_exponent(float_from_bf16(static_cast<uint16_t>(bits)), bound);
    }
    for (int exponent = -126; exponent < 110; ++exponent) {
      const float edge = std::ldexp(bound, exponent);
      for (const float amax : {edge, std::nextafter(edge, 0.0f), std::nextafter(edge, kInf)}) {
        expect_smallest_exponent(amax, bound);
      }
    }
    expect_smallest_exponent(kMost, bound);
    expect_smallest_exponent(std::numeric_limits<float>::denorm_min(), bound);
  }
}

TEST(E8M0, IsOneWithoutARange) {
  for (const float amax : {0.0f, kInf, kNan}) EXPECT_EQ(e8m0_from_amax(amax, 6), kE8M0One);
}

TEST(E8M0, DecodesPowersOfTwo) {
  for (int code = 0; code < 255; ++code) {
    EXPECT_EQ(e8m0_decode(static_cast<uint8_t>(code)), std::ldexp(1.0f, code - 127));
  }
  EXPECT_TRUE(std::isnan(e8m0_decode(255)));
}

TEST(ScaleFromAmax, DividesAndNeverGivesSubnormals) {
  EXPECT_EQ(scale_from_amax(3.0f, 448.0f), 3.0f / 448.0f);
  EXPECT_EQ(scale_from_amax(1e-37f, 448.0f), kLeast);
  for (const float amax : {0.0f, kInf, kNan}) EXPECT_EQ(scale_from_amax(amax, 448), 1.0f);
}

TEST(TwoLevelScale, ClampsToTheRangeOfE4M3) {
  const float global = global_scale_from_amax(kNvfp4, 6.0f);
  EXPECT_EQ(global, 6.0f / (6.0f * 448.0f));
  EXPECT_EQ(two_level_code_from_amax(6.0f, 6.0f, global), 0x7e);    // the tensor's amax: 448
  EXPECT_EQ(two_level_code_from_amax(60.0f, 6.0f, global), 0x7e);   // above it: 448 too
  EXPECT_EQ(two_level_code_from_amax(1e-12f, 6.0f, global), 0x01);  // 2^-9
  for (const float amax : {0.0f, kInf, kNan}) {
    EXPECT_EQ(two_level_code_from_amax(amax, 6.0f, global), 0x38);  // 1.0
  }
}

TEST(TwoLevelScale, OfZerosIsOne) {
  EXPECT_EQ(global_scale_from_amax(kNvfp4, 0.0f), 1.0f);
  const float zeros[] = {0.0f, 0.0f};
  const Scales scales = scales_from_amax(kNvfp4, zeros, 1.0f);
  EXPECT_EQ(scales.view().effective(1), 1.0f);
}

TEST(TwoLevelScale, OfFourOverSixLeavesRoomAbove) {
  const float global = global_scale_from_amax(kNvfp4FourOverSix, 6.0f);
  EXPECT_EQ(global, 6.0f / (6.0f * 256.0f));
  const float amax[] = {6.0f, 9.0f};
  const Scales scales = scales_from_amax(kNvfp4FourOverSix, amax, global);
  EXPECT_EQ(scales.codes[0], encode(kE4M3, 256));
  EXPECT_EQ(scales.codes[1], encode(kE4M3, 384));
}

TEST(Scales, OtherFormatsHaveNoGlobalScale) {
  EXPECT_EQ(global_scale_from_amax(kFp8, 3.0f), 1.0f);
  EXPECT_EQ(global_scale_from_amax(kMxfp4, 3.0f), 1.0f);
}

TEST(Scales, AreEffectiveByKind) {
  const float amax[] = {3.0f, 0.0f, 100.0f};
  const Scales plain = scales_from_amax(kInt8PerChannel, amax);
  EXPECT_EQ(plain.view().size(), 3);
  EXPECT_EQ(plain.view().effective(0), 3.0f / 127.0f);
  EXPECT_EQ(plain.view().effective(1), 1.0f);
  const Scales mx = scales_from_amax(kMxfp4, amax);
  EXPECT_EQ(mx.view().size(), 3);
  EXPECT_EQ(mx.view().effective(0), 0.5f);
  EXPECT_EQ(mx.view().effective(2), 32.0f);
  const Scales two = scales_from_amax(kNvfp4, amax, 100.0f / 2688.0f);
  EXPECT_EQ(two.view().effective(2), 448.0f * (100.0f / 2688.0f));
}

TEST(Scales, NeedTheirRoom) {
  const float amax[] = {1.0f, 2.0f};
  Scales small = Scales::make(ScaleKind::kFloat32, 1);
  EXPECT_THROW(scales_from_amax(kFp8, amax, 1.0f, small.mutable_view()), InternalError);
}

}  // namespace
}  // namespace lathe::formats
