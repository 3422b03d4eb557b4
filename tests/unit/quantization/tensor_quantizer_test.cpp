#include "quantization/tensor_quantizer.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "lathe/error.h"
#include "testing.h"
#include "unit/ops/tensors.h"

namespace lathe::quantization {
namespace {

using Mode = TensorQuantizer::Mode;

TEST(TensorQuantizer, Modes) {
  TensorQuantizer quantizer = make_quantizer(attributes_of("fp8"));
  const at::Tensor x = random_tensor({4, 8}, at::kBFloat16, 1);
  quantizer.set_mode(Mode::kBypass);
  EXPECT_TRUE(quantizer.forward(x).is_same(x));
  EXPECT_FALSE(quantizer.has_amax());
  quantizer.set_mode(Mode::kObserve);
  EXPECT_TRUE(quantizer.forward(x).is_same(x));
  EXPECT_EQ(quantizer.amax(), std::vector<float>{x.abs().max().item<float>()});
  EXPECT_FALSE(quantizer.has_scales());
  quantizer.finish();
  EXPECT_TRUE(quantizer.has_scales());
  quantizer.set_mode(Mode::kQuantize);
  const at::Tensor y = quantizer.forward(x);
  EXPECT_FALSE(y.equal(x));
  EXPECT_TRUE(quantizer.forward(y).equal(y)) << "rounded values are exact";
  quantizer.set_enabled(false);
  EXPECT_TRUE(quantizer.forward(x).is_same(x));
}

TEST(TensorQuantizer, QuantizesEachDtypeAndShape) {
  for (const char* name : {"fp8", "int8", "nvfp4", "mxfp8"}) {
    TensorQuantizer quantizer = make_quantizer(attributes_of(name));
    for (const at::ScalarType dtype : kFloatTypes) {
      const at::Tensor x = random_tensor({3, 2, 64}, dtype, 1);
      const at::Tensor y = quantizer.forward(x);
      EXPECT_EQ(y.scalar_type(), dtype);
      EXPECT_EQ(y.sizes(), x.sizes());
      const at::Tensor strided = x.transpose(0, 1);
      EXPECT_TRUE(quantizer.forward(strided).equal(quantizer.forward(strided.contiguous())));
      EXPECT_TRUE(quantizer.forward(x.view({-1})).equal(quantizer.forward(x.view({1, -1}))[0]));
    }
    EXPECT_EQ(quantizer.forward(at::zeros({0, 64})).numel(), 0);
    EXPECT_TRUE(quantizer.forward(at::zeros({2, 64})).equal(at::zeros({2, 64})));
    EXPECT_TRUE(quantizer.forward(at::zeros({})).equal(at::zeros({})));
  }
}

TEST(TensorQuantizer, UncalibratedOnesTakeTheTensorsOwnAmax) {
  for (const char* name : {"fp8", "int8_per_channel", "int4", "nvfp4"}) {
    SCOPED_TRACE(name);
    TensorQuantizer quantizer = make_quantizer(attributes_of(name));
    const at::Tensor x = random_tensor({4, 256}, at::kBFloat16, 1);
    const at::Tensor on_the_fly = quantizer.forward(x);
    EXPECT_FALSE(quantizer.has_amax());
    quantizer.observe(x);
    quantizer.finish();
    EXPECT_TRUE(quantizer.forward(x).equal(on_the_fly));
    const at::Tensor larger = x * 4;
    EXPECT_FALSE(quantizer.forward(larger).equal(on_the_fly * 4)) << "the scale stays";
  }
}

TEST(TensorQuantizer, AmaxDoesNotDependOnTheOrderOfBatches) {
  for (const char* name : {"fp8", "nvfp4", "int8_per_channel", "int4"}) {
    std::vector<at::Tensor> batches;
    for (uint32_t i = 0; i < 5; ++i) batches.push_back(random_tensor({4, 256}, at::kHalf, i));
    TensorQuantizer forward = make_quantizer(attributes_of(name));
    for (const at::Tensor& batch : batches) forward.observe(batch);
    std::reverse(batches.begin(), batches.end());
    TensorQuantizer backward = make_quantizer(attributes_of(name));
    for (const at::Tensor& batch : batches) backward.observe(batch);
    EXPECT_EQ(forward.amax(), backward.amax()) << name;
    EXPECT_EQ(forward.amax().size(), name == std::string("int4")               ? 8u
                                     : name == std::string("int8_per_channel") ? 4u
                                                                               : 1u);
  }
}

TEST(TensorQuantizer, AmaxChangesNeedNewScales) {
  TensorQuantizer quantizer = make_quantizer(attributes_of("fp8"));
  quantizer.set_amax({2});
  EXPECT_FALSE(quantizer.has_scales());
  quantizer.finish();
  EXPECT_EQ(quantizer.scales().values, std::vector<float>{2.0f / 448});
  quantizer.merge_amax({1});
  EXPECT_EQ(quantizer.amax(), std::vector<float>{2});
  EXPECT_FALSE(quantizer.has_scales());
  quantizer.merge_amax({3});
  quantizer.finish();
  EXPECT_EQ(quantizer.scales().values, std::vector<float>{3.0f / 448});
  quantizer.finish(std::vector<float>{4});
  EXPECT_EQ(quantizer.scales().values, std::vector<float>{4.0f / 448});
  EXPECT_EQ(quantizer.amax(), std::vector<float>{3}) << "its own stays what it saw";
  EXPECT_THROW(quantizer.merge_amax({1, 2}), InternalError);
  quantizer.reset();
  EXPECT_FALSE(quantizer.has_amax());
  quantizer.finish();
  EXPECT_FALSE(quantizer.has_scales());
}

TEST(TensorQuantizer, NvFp4HasOneGlobalScale) {
  TensorQuantizer quantizer = make_quantizer(attributes_of("nvfp4"));
  quantizer.set_amax({3});
  quantizer.finish();
  EXPECT_EQ(quantizer.scales().global_scale, 3.0f / (6 * 448));
  EXPECT_EQ(quantizer.scales().view().size(), 0);
}

std::string observe_error(const at::Tensor& x, bool observe) {
  TensorQuantizer quantizer = make_quantizer(attributes_of("fp8"), "model.mlp.input_quantizer");
  quantizer.set_mode(observe ? Mode::kObserve : Mode::kQuantize);
  try {
    quantizer.forward(x);
  } catch (const DataError& error) {
    return error.what();
  }
  return "no error";
}

TEST(TensorQuantizer, NanAndInfinityNameTheQuantizer) {
  const float inf = std::numeric_limits<float>::infinity();
  const at::Tensor x = at::tensor({1.0f, std::nanf(""), 2.0f, inf, -inf, 0.0f}).view({2, 3});
  for (const bool observe : {true, false}) {
    for (const at::ScalarType dtype : kFloatTypes) {
      EXPECT_EQ(observe_error(x.to(dtype), observe),
                "model.mlp.input_quantizer: 3 of 6 values are NaN or infinite");
    }
  }
  EXPECT_EQ(observe_error(at::zeros({2}, at::kLong), true).substr(0, 26),
            "model.mlp.input_quantizer:");
}

TEST(TensorQuantizer, PerTokenScalesAreOfEachRowAlone) {
  QuantizerAttributes attributes = {
      .num_bits = kE4M3, .block_sizes = BlockSizes{.sizes = {{-1, std::nullopt}}}, .dynamic = true};
  TensorQuantizer quantizer = make_quantizer(attributes);
  EXPECT_FALSE(quantizer.format().needs_amax());
  const at::Tensor first = random_tensor({1, 40}, at::kBFloat16, 1);
  const at::Tensor second = random_tensor({1, 40}, at::kBFloat16, 2, 100.0f);
  quantizer.observe(first);
  EXPECT_FALSE(quantizer.has_amax()) << "nothing is gathered";
  EXPECT_TRUE(quantizer.forward(at::cat({first, second}))
                  .equal(at::cat({quantizer.forward(first), quantizer.forward(second)})));
}

TEST(TensorQuantizer, ConstantAmaxStays) {
  TensorQuantizer quantizer = make_quantizer({.num_bits = kE4M3, .use_constant_amax = true});
  EXPECT_EQ(quantizer.scales().values, std::vector<float>{1.0f});
  quantizer.observe(random_tensor({4}, at::kFloat, 1));
  quantizer.reset();
  EXPECT_EQ(quantizer.amax(), std::vector<float>{448});
  EXPECT_TRUE(quantizer.has_scales());
}

TEST(TensorQuantizer, PreQuantScaleComesFirstAndKeepsTheDtype) {
  TensorQuantizer quantizer = make_quantizer(attributes_of("fp8"));
  const at::Tensor scale = at::tensor({0.5f, 1.0f, 3.0f, 0.1f});
  const at::Tensor x = random_tensor({2, 4}, at::kBFloat16, 1);
  const at::Tensor scaled = (x * scale).to(at::kBFloat16);
  quantizer.set_pre_quant_scale(scale);
  quantizer.set_mode(Mode::kObserve);
  EXPECT_TRUE(quantizer.forward(x).equal(scaled));
  EXPECT_EQ(quantizer.amax()[0], scaled.abs().max().item<float>());
  quantizer.finish();
  quantizer.set_mode(Mode::kQuantize);
  TensorQuantizer plain = make_quantizer(attributes_of("fp8"));
  plain.set_amax(quantizer.amax());
  plain.finish();
  EXPECT_TRUE(quantizer.forward(x).equal(plain.forward(scaled)));
  quantizer.set_enabled(false);
  EXPECT_TRUE(quantizer.forward(x).equal(scaled)) << "also by a quantizer that is off";
}

TEST(TensorQuantizer, UnsupportedOnesCannotBeEnabled) {
  using Stages = std::vector<QuantizerAttributes>;
  const auto two =
      std::make_shared<const Stages>(Stages{attributes_of("fp8"), attributes_of("int4")});
  EXPECT_THROW(TensorQuantizer("a.weight_quantizer", true, two), UserError);
  TensorQuantizer quantizer("a.weight_quantizer", false, two);
  EXPECT_EQ(quantizer.describe(), "disabled");
  EXPECT_THROW(quantizer.format(), InternalError);
  try {
    quantizer.set_enabled(true);
    FAIL() << "was enabled";
  } catch (const UserError& error) {
    EXPECT_STREQ(
        error.what(),
        "a.weight_quantizer: a sequential quantizer is integers with static scales and then "
        "fp8 per-tensor, found fp8 per-tensor + int4 block 128");
  }
  EXPECT_FALSE(quantizer.enabled());
}

TEST(TensorQuantizer, Restore) {
  using Stages = std::vector<QuantizerAttributes>;
  TensorQuantizer quantizer("a.input_quantizer", false,
                            std::make_shared<const Stages>(Stages{attributes_of("int8")}));
  formats::Scales scales = formats::Scales::make(formats::ScaleKind::kFloat32, 1);
  scales.values[0] = 0.25f;
  quantizer.restore({.format = formats::kFp8}, scales);
  EXPECT_TRUE(quantizer.enabled());
  EXPECT_EQ(quantizer.describe(), "fp8");
  const at::Tensor y = quantizer.forward(at::tensor({1.1f, 1000.0f}));
  EXPECT_EQ(y[0].item<float>(), 4.5f * 0.25f);
  EXPECT_EQ(y[1].item<float>(), 448 * 0.25f);
  quantizer.restore({.format = formats::kMxfp8, .dynamic = true}, std::nullopt);
  EXPECT_FALSE(quantizer.has_scales());
  EXPECT_EQ(quantizer.describe(), "mxfp8");
}

TEST(TensorQuantizer, IsFoundInItsModule) {
  ir::Module module("TensorQuantizer");
  EXPECT_THROW(quantizer_of(module), InternalError);
  auto state = std::make_shared<TensorQuantizer>(make_quantizer(attributes_of("fp8")));
  module.state = state;
  EXPECT_EQ(&quantizer_of(module), state.get());
  EXPECT_EQ(state->describe(), "fp8 per-tensor");
}

}  // namespace
}  // namespace lathe::quantization
