#include "quantization/config/attributes.h"

#include <gtest/gtest.h>

#include "unit/quantization/config/config_testing.h"

namespace lathe::quantization {
namespace {

QuantizerAttributes attributes_of(std::string_view text) {
  return parse_attributes(io::parse_yaml(text, "cfg"), "cfg");
}

TEST(Attributes, EveryKeyIsRead) {
  const auto attributes = attributes_of(R"(
    num_bits: e2m1
    effective_bits: 4.5
    block_sizes: {-1: 16, type: static, scale_bits: [4, 3], four_over_six: 1}
    fake_quant: false
    type: dynamic
    calibrator: histogram
    rotate: {enable: true, mode: rotate_back, rotate_fp32: true, block_size: 64}
    bias: {-2: null, -4: null, type: dynamic, method: max_min}
    pass_through_bwd: false
    constant_amax: 2688
    trt_high_precision_dtype: Half)");
  QuantizerAttributes expected{.num_bits = kE2M1, .effective_bits = 4.5};
  expected.block_sizes =
      BlockSizes{.sizes = {{-1, 16}}, .scale_bits = kE4M3, .four_over_six = true};
  expected.fake_quant = false;
  expected.dynamic = true;
  expected.calibrator = Calibrator::kHistogram;
  expected.rotate = {.enable = true, .rotate_back = true, .float32 = true, .block_size = 64};
  expected.bias = Bias{.axes = {-4, -2}, .dynamic = true, .method = Bias::Method::kMaxMin};
  expected.pass_through_bwd = false;
  expected.constant_amax = 2688;
  expected.trt_high_precision_dtype = DType::kF16;
  EXPECT_EQ(attributes, expected);
  EXPECT_EQ(parse_attributes(to_json(attributes), "again"), attributes);
}

TEST(Attributes, NullsAndPeerOnlyKeysAtTheirDefaultChangeNothing) {
  const auto attributes = attributes_of(
      "{num_bits: 8, axis: null, block_sizes: null, bias: null, backend: null, "
      "backend_extra_args: {}, learn_amax: false, rotate: false, constant_amax: null}");
  EXPECT_EQ(attributes, QuantizerAttributes{});
}

TEST(Attributes, FormatsAreChangedByTheOtherKeys) {
  EXPECT_EQ(attributes_of("{format: nvfp4}"), find_number_format("nvfp4")->attributes);
  EXPECT_EQ(attributes_of("{num_bits: 8, format: fp8}").num_bits, kE4M3);
  EXPECT_EQ(attributes_of("{num_bits: 4, format: nvfp4}").num_bits, kE2M1);
  EXPECT_EQ(attributes_of("{num_bits: [2, 1], format: mxfp4}").num_bits, kE2M1);

  const auto wide = attributes_of("{format: nvfp4, block_sizes: {-1: 32}}");
  EXPECT_EQ(wide, find_number_format("nvfp4_bs32")->attributes);
  const auto narrow = attributes_of("{format: int4, block_sizes: {-1: 64}}");
  EXPECT_EQ(narrow.block_sizes->sizes, (AxisBlocks{{-1, 64}}));
  EXPECT_EQ(narrow.num_bits, NumBits::integer(4));
}

TEST(Attributes, FormatsSurviveJson) {
  for (const auto& format : number_formats()) {
    EXPECT_EQ(parse_attributes(to_json(format.attributes), "again"), format.attributes)
        << format.name;
  }
}

TEST(Attributes, Descriptions) {
  const std::pair<const char*, const char*> cases[] = {
      {"{format: fp8}", "fp8 per-tensor"},
      {"{format: fp8, axis: 0}", "fp8 per-channel"},
      {"{format: fp8, type: dynamic, block_sizes: {-1: null}}", "fp8 per-token dynamic"},
      {"{format: fp8, block_sizes: {-1: 128, -2: 128}}", "fp8 block 128x128"},
      {"{format: int8_per_channel}", "int8 per-channel"},
      {"{num_bits: 8, unsigned: true, axis: [0, 1]}", "uint8 axis 0,1"},
      {"{format: int4}", "int4 block 128"},
      {"{format: nvfp4}", "nvfp4 block 16 dynamic"},
      {"{format: nvfp4_static}", "nvfp4 block 16"},
      {"{format: nvfp4_four_over_six}", "nvfp4 block 16 four-over-six"},
      {"{format: mxfp8}", "mxfp8 block 32 dynamic"},
      {"{format: mxfp6}", "mxfp6 block 32 dynamic"},
      {"{num_bits: e2m3, block_sizes: {-1: 32, type: dynamic, scale_bits: e8m0}}",
       "mxfp6 e2m3 block 32 dynamic"},
      {"{format: mxint8}", "mxint8 block 32 dynamic"},
      {"{format: fp8, bias: {-2: null}, rotate: true, use_constant_amax: true}",
       "fp8 per-tensor affine rotated amax 448"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(describe(attributes_of(text)), expected);
  const std::vector<QuantizerAttributes> stages = {attributes_of("{format: int4}"),
                                                   attributes_of("{format: fp8}")};
  EXPECT_EQ(describe(stages), "int4 block 128 + fp8 per-tensor");
}

struct BadAttributes {
  const char* text;
  const char* message;
};

class AttributesErrors : public testing::TestWithParam<BadAttributes> {};

TEST_P(AttributesErrors, NameTheKey) {
  const auto message = user_error([] { attributes_of(GetParam().text); });
  EXPECT_TRUE(message.starts_with("cfg")) << message;
  expect_contains(message, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Table, AttributesErrors,
    testing::Values(
        BadAttributes{"[]", "expected an object, found []"},
        BadAttributes{"{num_bit: 8}", "unknown key \"num_bit\" (did you mean \"num_bits\"?)"},
        BadAttributes{"{num_bits: 1}", "cfg.num_bits: expected an integer from 2 to 8, found 1"},
        BadAttributes{"{num_bits: 16}", "from 2 to 8, found 16"},
        BadAttributes{"{num_bits: 99999999999999999999}", "found"},
        BadAttributes{"{num_bits: 8.0}", "found 8.0"},
        BadAttributes{"{num_bits: true}", "found true"},
        BadAttributes{"{num_bits: [3, 3]}", "[4, 3], [5, 2]"},
        BadAttributes{"{num_bits: [8, 0]}", "found [8,0]"},
        BadAttributes{"{num_bits: e4m4}", "found \"e4m4\""},
        BadAttributes{"{num_bits: e5m2}", "needs block_sizes of type dynamic"},
        BadAttributes{"{num_bits: e3m2, block_sizes: {-1: 32}}", "of type dynamic"},
        BadAttributes{"{num_bits: e2m1}", "e2m1 needs block_sizes"},
        BadAttributes{"{num_bits: e4m3, unsigned: true}", "are for integers"},
        BadAttributes{"{format: fp9}", "(did you mean \"fp8\"?)"},
        BadAttributes{"{format: fp8, num_bits: 4}", "contradicts format fp8"},
        BadAttributes{"{format: nvfp4, num_bits: 8}", "contradicts format nvfp4"},
        BadAttributes{"{format: int8, num_bits: e4m3}", "contradicts format int8"},
        BadAttributes{"{axis: 0, block_sizes: {-1: 16}}", "axis and block_sizes exclude"},
        BadAttributes{"{format: int4, axis: 0}", "axis and block_sizes exclude"},
        BadAttributes{"{axis: x}", "cfg.axis: expected an integer"},
        BadAttributes{"{axis: [0, 0]}", "axis 0 is given twice"},
        BadAttributes{"{axis: []}", "found []"}, BadAttributes{"{axis: 8}", "from -8 to 7"},
        BadAttributes{"{block_sizes: 16}", "cfg.block_sizes: expected an object"},
        BadAttributes{"{block_sizes: {}}", "expected an axis and its block size"},
        BadAttributes{"{block_sizes: {-1: 0}}", "cfg.block_sizes.-1: expected an integer from 1"},
        BadAttributes{"{block_sizes: {-1: 16, size: 3}}", "as key, found \"size\""},
        BadAttributes{"{block_sizes: {-1: 16, -01: 16}}", "axis -1 is given twice"},
        BadAttributes{"{block_sizes: {-1: 16, -2: 16, type: dynamic}}", "along one axis, found 2"},
        BadAttributes{"{block_sizes: {-1: 16, type: dynamik}}", "(did you mean \"dynamic\"?)"},
        BadAttributes{"{block_sizes: {-1: 16, scale_bits: 4}}", "cfg.block_sizes.scale_bits"},
        BadAttributes{"{block_sizes: {-1: 16, scale_block_sizes: {-1: 4}}}", "needs scale_bits"},
        BadAttributes{"{num_bits: 4, block_sizes: {-1: 16, four_over_six: true}}",
                      "four_over_six needs num_bits e2m1"},
        BadAttributes{"{type: sometimes}", "cfg.type: expected one of static, dynamic"},
        BadAttributes{"{calibrator: entropy}", "cfg.calibrator: expected one of max, histogram"},
        BadAttributes{"{bias: {type: static}}", "cfg.bias: expected an axis"},
        BadAttributes{"{bias: {-2: 1}}", "cfg.bias.-2: expected null"},
        BadAttributes{"{rotate: {mod: rotate}}", "(did you mean \"mode\"?)"},
        BadAttributes{"{rotate: {block_size: -1}}", "cfg.rotate.block_size"},
        BadAttributes{"{unsigned: 1}", "cfg.unsigned: expected true or false, found 1"},
        BadAttributes{"{constant_amax: 0}", "cfg.constant_amax: expected a number above 0"},
        BadAttributes{"{constant_amax: .nan}", "expected a finite number"},
        BadAttributes{"{constant_amax: 1, use_constant_amax: true}", "exclude each other"},
        BadAttributes{"{effective_bits: 17}", "at most 16"},
        BadAttributes{"{backend: custom}", "custom backends are Python code"},
        BadAttributes{"{num_bits: 4, symmetric: false}", "cfg.symmetric: zero points"},
        BadAttributes{"{zero_point: true}", "cfg.zero_point: zero points"},
        BadAttributes{"{learn_amax: true}", "cfg.learn_amax"},
        BadAttributes{"{trt_high_precision_dtype: Double}", "one of Float, Half, BFloat16"}));

}  // namespace
}  // namespace lathe::quantization
