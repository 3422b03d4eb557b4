#include "formats/element.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/float16.h"
#include "formats/float_element.h"
#include "formats/int_element.h"
#include "unit/formats/golden.h"

namespace lathe::formats {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class FloatElement : public testing::TestWithParam<Element> {
 protected:
  std::string name() const { return element_name(GetParam()); }
  const FloatSpec& spec() const { return float_spec(GetParam().kind); }
};

TEST_P(FloatElement, DecodesAsMlDtypes) {
  const auto golden = read_golden_element(name(), "decode");
  ASSERT_EQ(golden.size(), size_t{1} << GetParam().bits);
  for (size_t code = 0; code < golden.size(); ++code) {
    const float expected = std::bit_cast<float>(golden[code]);
    const float value = decode(GetParam(), static_cast<uint8_t>(code));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << code;
      EXPECT_EQ(std::signbit(value), (code & spec().sign_code()) != 0) << code;
    } else {
      EXPECT_EQ(std::bit_cast<uint32_t>(value), golden[code]) << code;
    }
  }
}

// Rounding is monotone, so the first float of each code is all there is to know.
TEST_P(FloatElement, RoundsAsMlDtypesAtEveryBoundary) {
  const auto first = read_golden_element(name(), "first");
  ASSERT_EQ(first.size(), spec().max_code);
  for (size_t i = 0; i < first.size(); ++i) {
    const float at = std::bit_cast<float>(first[i]);
    const float below = std::bit_cast<float>(first[i] - 1);
    EXPECT_EQ(encode(GetParam(), at), i + 1) << at;
    EXPECT_EQ(encode(GetParam(), below), i) << below;
    EXPECT_EQ(encode(GetParam(), -at), (i + 1) | spec().sign_code()) << -at;
    EXPECT_EQ(encode(GetParam(), -below), i | spec().sign_code()) << -below;
  }
}

TEST_P(FloatElement, RoundsEveryHalfPrecisionValueAsMlDtypes) {
  const auto first = read_golden_element(name(), "first");
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    for (const float value : {float_from_bf16(static_cast<uint16_t>(bits)),
                              float_from_f16(static_cast<uint16_t>(bits))}) {
      if (std::isnan(value)) continue;
      const uint32_t magnitude = std::bit_cast<uint32_t>(std::fabs(value));
      const auto code = std::upper_bound(first.begin(), first.end(), magnitude) - first.begin();
      const int sign = std::signbit(value) ? spec().sign_code() : 0;
      ASSERT_EQ(encode(GetParam(), value), code | sign) << value;
    }
  }
}

TEST_P(FloatElement, SaturatesAndKeepsNan) {
  const Element element = GetParam();
  const float max = max_bound(element);
  for (const float value : {max, max * 1.01f, 1e30f, std::numeric_limits<float>::max(), kInf}) {
    EXPECT_EQ(decode(element, encode(element, value)), max);
    EXPECT_EQ(decode(element, encode(element, -value)), -max);
  }
  const float nan = decode(element, encode(element, kNan));
  const float negative_nan = decode(element, encode(element, -kNan));
  if (spec().has_nan()) {
    EXPECT_TRUE(std::isnan(nan) && !std::signbit(nan));
    EXPECT_TRUE(std::isnan(negative_nan) && std::signbit(negative_nan));
  } else {
    EXPECT_EQ(nan, max);
    EXPECT_EQ(negative_nan, -max);
  }
}

TEST_P(FloatElement, EncodesWhatItDecodes) {
  for (int code = 0; code < 1 << GetParam().bits; ++code) {
    const float value = decode(GetParam(), static_cast<uint8_t>(code));
    if (std::isfinite(value)) {
      EXPECT_EQ(encode(GetParam(), value), code) << value;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, FloatElement, testing::Values(kE4M3, kE5M2, kE2M1, kE3M2, kE2M3),
                         [](const auto& info) { return element_name(info.param); });

TEST(FloatElementBounds, AreThoseOfTheStandards) {
  EXPECT_EQ(max_bound(kE4M3), 448);
  EXPECT_EQ(max_bound(kE5M2), 57344);
  EXPECT_EQ(max_bound(kE2M1), 6);
  EXPECT_EQ(max_bound(kE3M2), 28);
  EXPECT_EQ(max_bound(kE2M3), 7.5f);
}

TEST(FloatElementSpec, RefusesIntegers) {
  EXPECT_THROW(float_spec(ElementKind::kInt), InternalError);
}

TEST(IntElement, RangesFollowTheOptions) {
  for (int bits = 2; bits <= 8; ++bits) {
    Element element = int_element(bits);
    const int hi = (1 << (bits - 1)) - 1;
    EXPECT_EQ(int_range(element).lo, -hi - 1);
    EXPECT_EQ(int_range(element).hi, hi);
    EXPECT_EQ(max_bound(element), static_cast<float>(hi));
    element.narrow_range = true;
    EXPECT_EQ(int_range(element).lo, -hi);
    element.is_unsigned = true;
    EXPECT_EQ(int_range(element).lo, 0);
    EXPECT_EQ(int_range(element).hi, (1 << bits) - 1);
  }
  EXPECT_THROW(int_range(int_element(1)), InternalError);
  EXPECT_THROW(int_range(int_element(9)), InternalError);
}

TEST(IntElement, RoundsHalfToEvenAndSaturates) {
  const auto value = [](float x) { return decode(kInt4, encode(kInt4, x)); };
  EXPECT_EQ(value(0.5f), 0);
  EXPECT_EQ(value(1.5f), 2);
  EXPECT_EQ(value(2.5f), 2);
  EXPECT_EQ(value(-0.5f), 0);
  EXPECT_FALSE(std::signbit(value(-0.5f)));
  EXPECT_EQ(value(-1.5f), -2);
  EXPECT_EQ(value(7.5f), 7);
  EXPECT_EQ(value(-8.5f), -8);
  EXPECT_EQ(value(kInf), 7);
  EXPECT_EQ(value(-kInf), -8);
  EXPECT_EQ(value(kNan), 7);
  EXPECT_EQ(value(-kNan), -8);
}

TEST(IntElement, CodesAreTwosComplement) {
  EXPECT_EQ(encode(kInt4, -3), 0xfd);
  EXPECT_EQ(decode(kInt4, 0xfd), -3);
  EXPECT_EQ(decode(kInt4, 0x0d), -3);  // the low bits alone
  EXPECT_EQ(encode(kInt8, -128), 0x80);
  Element uint4 = kInt4;
  uint4.is_unsigned = true;
  EXPECT_EQ(encode(uint4, 15.2f), 0x0f);
  EXPECT_EQ(decode(uint4, 0x0f), 15);
  EXPECT_EQ(encode(uint4, -3), 0);
}

TEST(IntElement, EncodesWhatItDecodes) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (const bool is_unsigned : {false, true}) {
      Element element = int_element(bits);
      element.is_unsigned = is_unsigned;
      const IntRange range = int_range(element);
      for (int value = range.lo; value <= range.hi; ++value) {
        const auto x = static_cast<float>(value);
        EXPECT_EQ(decode(element, encode(element, x)), x);
      }
    }
  }
}

TEST(ElementName, GoesBothWays) {
  Element narrow = kInt8;
  narrow.narrow_range = true;
  Element uint3 = int_element(3);
  uint3.is_unsigned = true;
  for (const Element element : {kE4M3, kE5M2, kE2M1, kE3M2, kE2M3, kInt4, kInt8, narrow, uint3}) {
    EXPECT_EQ(element_from_name(element_name(element)), element);
  }
  EXPECT_EQ(element_name(uint3), "uint3");
  EXPECT_EQ(element_from_name("int9"), std::nullopt);
}

}  // namespace
}  // namespace lathe::formats
