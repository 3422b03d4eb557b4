#include "quantization/quantizer_format.h"

#include <gtest/gtest.h>

#include "lathe/error.h"
#include "testing.h"

namespace lathe::quantization {
namespace {

struct Expected {
  formats::Format format;
  bool dynamic;
  bool needs_amax;
  formats::BlockShape amax_block;
};

void expect_format(const QuantizerAttributes& attributes, const Expected& expected) {
  SCOPED_TRACE(describe(attributes));
  const QuantizerFormat found = quantizer_format(attributes, "q");
  EXPECT_EQ(formats::format_name(found.format), formats::format_name(expected.format));
  EXPECT_EQ(found.format, expected.format);
  EXPECT_EQ(found.dynamic, expected.dynamic);
  EXPECT_EQ(found.needs_amax(), expected.needs_amax);
  EXPECT_EQ(found.amax_block(), expected.amax_block);
  EXPECT_EQ(found.constant_amax, std::nullopt);
}

QuantizerAttributes blocks(NumBits bits, AxisBlocks sizes, bool dynamic = false) {
  return {.num_bits = bits,
          .block_sizes = BlockSizes{.sizes = std::move(sizes), .dynamic = dynamic}};
}

TEST(QuantizerFormat, TheNumberFormatsOfPresets) {
  using formats::kPerTensor;
  expect_format(attributes_of("fp8"), {formats::kFp8, false, true, kPerTensor});
  expect_format(attributes_of("int8"), {formats::kInt8PerTensor, false, true, kPerTensor});
  expect_format(attributes_of("int8_per_channel"),
                {formats::kInt8PerChannel, false, true, formats::kPerChannel});
  expect_format(attributes_of("int4"), {formats::kInt4Block, false, true, {1, 128}});
  expect_format(attributes_of("mxfp8"), {formats::kMxfp8, true, false, kPerTensor});
  expect_format(attributes_of("mxfp6"), {formats::kMxfp6, true, false, kPerTensor});
  expect_format(attributes_of("mxfp4"), {formats::kMxfp4, true, false, kPerTensor});
  expect_format(attributes_of("mxint8"), {formats::kMxint8, true, false, kPerTensor});
  expect_format(attributes_of("nvfp4"), {formats::kNvfp4, true, true, kPerTensor});
  expect_format(attributes_of("nvfp4_bs32"), {formats::kNvfp4Block32, true, true, kPerTensor});
}

TEST(QuantizerFormat, OtherCombinationsOfPresets) {
  expect_format({.num_bits = kE4M3, .axis = {0}},
                {formats::kFp8PerChannel, false, true, formats::kPerChannel});
  expect_format(blocks(kE4M3, {{-1, 128}, {-2, 128}}),
                {formats::kFp8Block2d, false, true, {128, 128}});
  QuantizerAttributes per_token = blocks(kE4M3, {{-1, std::nullopt}});
  per_token.dynamic = true;
  expect_format(per_token, {formats::kFp8PerChannel, true, false, formats::kPerChannel});
  expect_format({.num_bits = kE4M3, .dynamic = true},
                {formats::kFp8, true, false, formats::kPerTensor});
}

TEST(QuantizerFormat, IntegersMayBeUnsignedOrNarrow) {
  formats::Element expected = formats::int_element(6);
  expected.is_unsigned = true;
  expected.narrow_range = true;
  const QuantizerAttributes attributes = {
      .num_bits = NumBits::integer(6), .unsigned_ = true, .narrow_range = true};
  EXPECT_EQ(quantizer_format(attributes, "q").format.element, expected);
}

TEST(QuantizerFormat, ConstantAmax) {
  const QuantizerFormat cast =
      quantizer_format({.num_bits = kE4M3, .use_constant_amax = true}, "q");
  EXPECT_EQ(cast.constant_amax, 448.0f);
  EXPECT_FALSE(cast.needs_amax());
  const QuantizerFormat pinned = quantizer_format({.num_bits = kE4M3, .constant_amax = 3.5}, "q");
  EXPECT_EQ(pinned.constant_amax, 3.5f);
  QuantizerAttributes nvfp4 = attributes_of("nvfp4");
  nvfp4.use_constant_amax = true;
  EXPECT_FALSE(quantizer_format(nvfp4, "q").needs_amax());
}

void expect_refusal(const QuantizerAttributes& attributes, const std::string& message) {
  try {
    quantizer_format(attributes, "a.input_quantizer");
    ADD_FAILURE() << describe(attributes) << " was accepted";
  } catch (const UserError& error) {
    EXPECT_EQ(std::string(error.what()), "a.input_quantizer: " + message);
  }
}

TEST(QuantizerFormat, WhatIsNotSupportedIsRefusedByName) {
  QuantizerAttributes attributes = attributes_of("int8_per_channel");
  attributes.bias = Bias{.axes = {-4, -2}};
  expect_refusal(attributes,
                 "affine quantization (bias) is for one scale a tensor or dynamic blocks, not for "
                 "int8 per-channel affine");
  expect_refusal({.num_bits = NumBits::integer(8), .calibrator = Calibrator::kHistogram},
                 "the histogram calibrator is not supported; use max");
  attributes = attributes_of("nvfp4");
  attributes.block_sizes->scale_block_sizes = {{-1, 16}};
  expect_refusal(attributes, "scale_block_sizes are not supported");
}

TEST(QuantizerFormat, StaticBlocksAreThoseOfTheTensorAtHand) {
  const QuantizerFormat found = quantizer_format(attributes_of("nvfp4_static"), "q");
  EXPECT_EQ(found.format, formats::kNvfp4);
  EXPECT_TRUE(found.static_blocks);
  EXPECT_TRUE(found.dynamic);
  const QuantizerFormat chosen = quantizer_format(attributes_of("nvfp4_four_over_six"), "q");
  EXPECT_EQ(chosen.format, formats::kNvfp4FourOverSix);
}

TEST(QuantizerFormat, IntegerBlocksAndThenFp8AreOneFormat) {
  const std::vector<QuantizerAttributes> stages = {attributes_of("int4"), attributes_of("fp8")};
  const QuantizerFormat found = quantizer_format(std::span(stages), "q");
  EXPECT_EQ(found.format, formats::kInt4ThenFp8);
  EXPECT_EQ(found.amax_block(), (formats::BlockShape{1, 128}));
  for (const char* first : {"fp8", "nvfp4", "mxint8"}) {
    const std::vector<QuantizerAttributes> other = {attributes_of(first), attributes_of("fp8")};
    EXPECT_THROW(quantizer_format(std::span(other), "q"), UserError) << first;
  }
}

TEST(QuantizerFormat, ShapesAndBitsThatDoNotExist) {
  expect_refusal({.num_bits = kE4M3, .axis = {1}}, "only axis 0 can be kept");
  expect_refusal({.num_bits = kE4M3, .axis = {0, 1}}, "only axis 0 can be kept");
  expect_refusal(blocks(kE4M3, {{-3, 16}}),
                 "block_sizes of axis -3 are not supported, only those of -1 and -2");
  QuantizerAttributes odd_scale = attributes_of("nvfp4");
  odd_scale.block_sizes->scale_bits = kE5M2;
  expect_refusal(odd_scale, "scale_bits must be [4, 3] or [8, 0]");
  for (const NumBits bits : {NumBits::integer(1), NumBits::integer(16), NumBits::floating(1, 2),
                             NumBits::floating(3, 0)}) {
    EXPECT_THROW(quantizer_format({.num_bits = bits}, "q"), UserError) << bits.bits;
  }
}

TEST(QuantizerFormat, OneConstantForManyScalesIsRefused) {
  EXPECT_THROW(quantizer_format({.num_bits = kE4M3, .axis = {0}, .constant_amax = 1.0}, "q"),
               UserError);
  QuantizerAttributes int4 = attributes_of("int4");
  int4.use_constant_amax = true;
  EXPECT_THROW(quantizer_format(int4, "q"), UserError);
}

}  // namespace
}  // namespace lathe::quantization
