#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "lathe/error.h"
#include "quantization/rotation.h"
#include "testing.h"
#include "unit/ops/tensors.h"

// What a quantizer does around its rounding: rotations, biases, a second rounding, signs.
namespace lathe::quantization {
namespace {

TEST(Rotation, IsTheNormalizedHadamardMatrix) {
  const at::Tensor x = at::tensor({1.0f, 2.0f, 3.0f, 5.0f}).view({1, 4});
  const at::Tensor y = rotate(x, {.enable = true}, "q");
  EXPECT_TRUE(y.equal(at::tensor({5.5f, -1.5f, -2.5f, 0.5f}).view({1, 4}))) << y;
}

TEST(Rotation, UndoesItselfAndKeepsProducts) {
  const at::Tensor x = random_tensor({3, 5, 48}, at::kFloat, 1);  // blocks of 16
  const at::Tensor w = random_tensor({7, 48}, at::kFloat, 2);
  const Rotation rotation{.enable = true};
  EXPECT_TRUE(rotate(rotate(x, rotation, "q"), rotation, "q").allclose(x, 1e-5, 1e-6));
  const at::Tensor turned = at::linear(rotate(x, rotation, "q"), rotate(w, rotation, "q"));
  EXPECT_TRUE(turned.allclose(at::linear(x, w), 1e-4, 1e-4));
}

TEST(Rotation, BlocksMustBePowersOfTwoThatDivide) {
  const at::Tensor x = random_tensor({2, 24}, at::kFloat, 1);
  EXPECT_NO_THROW(rotate(x, {.enable = true, .block_size = 8}, "q"));
  EXPECT_THROW(rotate(x, {.enable = true, .block_size = 16}, "q"), UserError);
  EXPECT_THROW(rotate(x, {.enable = true, .block_size = 12}, "q"), UserError);
}

TEST(Rotation, IsDoneByAQuantizerThatIsOff) {
  QuantizerAttributes attributes;
  attributes.rotate.enable = true;
  const auto stages = std::make_shared<const std::vector<QuantizerAttributes>>(1, attributes);
  TensorQuantizer quantizer("a.q_bmm_quantizer", false, stages);
  const at::Tensor x = random_tensor({2, 16}, at::kBFloat16, 3);
  EXPECT_TRUE(quantizer.forward(x).equal(rotate(x, attributes.rotate, "q")));
  quantizer.set_mode(TensorQuantizer::Mode::kFolded);
  EXPECT_TRUE(quantizer.forward(x).equal(x));
}

QuantizerAttributes affine(const char* format) {
  QuantizerAttributes attributes = attributes_of(format);
  attributes.bias = Bias{.axes = {-4, -2}};
  return attributes;
}

/// Keys [B, H, T, D] around 3.
at::Tensor keys(int64_t batch, int seed) {
  return random_tensor({batch, 2, 5, 16}, at::kFloat, seed).add(3.0);
}

TEST(AffineBias, IsTheMeanOfAllDataInAnyOrder) {
  const at::Tensor a = keys(1, 1);
  const at::Tensor b = keys(3, 2);
  TensorQuantizer forth = make_quantizer(affine("fp8"), "k");
  TensorQuantizer back = make_quantizer(affine("fp8"), "k");
  forth.observe(a);
  forth.observe(b);
  back.observe(b);
  back.observe(a);
  const at::Tensor all = at::cat({a, b}, 0);
  const std::vector<int64_t> axes = {0, 2};
  EXPECT_TRUE(forth.bias().allclose(all.mean(axes, true), 1e-6, 1e-6));
  EXPECT_TRUE(forth.bias().equal(back.bias()));
  EXPECT_EQ(forth.amax(), back.amax());
  EXPECT_FLOAT_EQ(forth.amax().at(0), all.sub(forth.bias()).abs().max().item<float>());
}

TEST(AffineBias, RoundsWhatIsAroundIt) {
  for (const char* format : {"fp8", "nvfp4"}) {
    const at::Tensor x = keys(2, 4);
    TensorQuantizer quantizer = make_quantizer(affine(format), "k");
    quantizer.observe(x);
    quantizer.finish();
    TensorQuantizer plain = make_quantizer(attributes_of(format), "k");
    plain.set_amax(quantizer.amax());
    plain.finish();
    const at::Tensor expected = plain.forward(x.sub(quantizer.bias())).add(quantizer.bias());
    EXPECT_TRUE(quantizer.forward(x).equal(expected)) << format;
    EXPECT_FALSE(quantizer.forward(x).equal(plain.forward(x))) << format;
  }
}

TEST(AffineBias, ChangingKeptAxesAreAnError) {
  TensorQuantizer quantizer = make_quantizer(affine("fp8"), "k");
  quantizer.observe(keys(1, 1));
  EXPECT_THROW(quantizer.observe(random_tensor({1, 3, 5, 16}, at::kFloat, 2)), UserError);
}

TEST(SequentialQuantizer, RoundsToIntegersAndThoseToFp8) {
  const auto stages = std::make_shared<const std::vector<QuantizerAttributes>>(
      std::vector<QuantizerAttributes>{attributes_of("int4"), attributes_of("fp8")});
  TensorQuantizer both("w.weight_quantizer", true, stages, TensorQuantizer::Role::kWeight);
  const at::Tensor w = random_tensor({6, 256}, at::kFloat, 5);
  both.observe(w);
  both.finish();
  ASSERT_EQ(both.amax().size(), 12u);
  TensorQuantizer integers = make_quantizer(attributes_of("int4"));
  integers.observe(w);
  integers.finish();
  TensorQuantizer fp8 = make_quantizer(attributes_of("fp8"));
  fp8.set_amax({w.abs().max().item<float>()});
  fp8.finish();
  EXPECT_EQ(both.scales().values, integers.scales().values);
  EXPECT_EQ(both.scales().global_scale, fp8.scales().values.at(0));
  EXPECT_TRUE(both.forward(w).equal(fp8.forward(integers.forward(w))));
}

TEST(FourOverSix, ErrsLessThanNvfp4) {
  const at::Tensor w = random_tensor({16, 64}, at::kFloat, 6);
  const auto error = [&](const char* format) {
    TensorQuantizer quantizer = make_quantizer(attributes_of(format));
    quantizer.observe(w);
    quantizer.finish();
    return quantizer.forward(w).sub(w).square().sum().item<double>();
  };
  EXPECT_LT(error("nvfp4_four_over_six"), error("nvfp4"));
}

TEST(UnsignedNumbers, RefuseNegativeValues) {
  TensorQuantizer quantizer =
      make_quantizer({.num_bits = NumBits::integer(8), .unsigned_ = true}, "a.input_quantizer");
  const at::Tensor x = at::tensor({0.0f, 1.0f, 127.5f, 255.0f});
  quantizer.observe(x);
  quantizer.finish();
  EXPECT_TRUE(quantizer.forward(x).equal(at::tensor({0.0f, 1.0f, 128.0f, 255.0f})));
  EXPECT_THROW(quantizer.forward(x.neg()), DataError);
  EXPECT_THROW(quantizer.observe(x.neg()), DataError);
}

TEST(Uncalibrated, TakesEachTensorAsItComes) {
  TensorQuantizer quantizer = make_quantizer(attributes_of("fp8"), "a.input_quantizer");
  quantizer.leave_uncalibrated();
  EXPECT_FALSE(quantizer.format().needs_amax());
  const at::Tensor x = random_tensor({3, 32}, at::kFloat, 7);
  TensorQuantizer calibrated = make_quantizer(attributes_of("fp8"), "a.input_quantizer");
  calibrated.observe(x);
  calibrated.finish();
  EXPECT_TRUE(quantizer.forward(x).equal(calibrated.forward(x)));
}

}  // namespace
}  // namespace lathe::quantization
