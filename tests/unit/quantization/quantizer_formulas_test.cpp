// Fake quantization against the formulas written out with ATen operators.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/ldexp.h>
#include <gtest/gtest.h>

#include <cmath>

#include "testing.h"
#include "unit/ops/tensors.h"

namespace lathe::quantization {
namespace {

at::Tensor block_amax(const at::Tensor& x, int64_t block) {
  return x.unflatten(-1, {-1, block}).abs().amax({-1}, true).to(at::kFloat);
}

/// Values of x in blocks, divided by `scale`, rounded by `round` and multiplied again.
template <typename Round>
at::Tensor rounded_in_blocks(const at::Tensor& x, int64_t block, const at::Tensor& scale,
                             const Round& round) {
  const at::Tensor scaled = x.to(at::kFloat).unflatten(-1, {-1, block}) / scale;
  return (round(scaled) * scale).flatten(-2).to(x.scalar_type());
}

at::Tensor to_integers(const at::Tensor& x, double low, double high) {
  return x.round().clamp(low, high);
}
at::Tensor to_e4m3(const at::Tensor& x) {
  return x.clamp(-448, 448).to(at::ScalarType::Float8_e4m3fn).to(at::kFloat);
}

/// The nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6; ties to the even code.
float nearest_e2m1(float x) {
  const float magnitude = std::min(std::fabs(x), 6.0f);
  const float step = magnitude < 2 ? 0.5f : magnitude < 4 ? 1.0f : 2.0f;
  return std::copysign(std::nearbyint(magnitude / step) * step, x);
}

at::Tensor to_e2m1(const at::Tensor& x) {
  const at::Tensor dense = x.contiguous();
  at::Tensor y = at::empty_like(dense);
  for (int64_t i = 0; i < x.numel(); ++i) {
    y.mutable_data_ptr<float>()[i] = nearest_e2m1(dense.const_data_ptr<float>()[i]);
  }
  return y;
}

/// function(x) for weights in each dtype, with outliers and a block of zeros.
template <typename Function>
void for_each_weight(const Function& function) {
  for (const at::ScalarType dtype : kFloatTypes) {
    SCOPED_TRACE(dtype);
    at::Tensor x = random_tensor({6, 256}, dtype, 1, 0.05f);
    x[2].mul_(20);
    x[3].slice(0, 0, 128).zero_();
    x[4][7].fill_(3);
    function(x);
  }
}

at::Tensor quantized(const QuantizerAttributes& attributes, const at::Tensor& x) {
  TensorQuantizer quantizer = make_quantizer(attributes);
  quantizer.observe(x);
  quantizer.finish();
  return quantizer.forward(x);
}

TEST(QuantizerFormulas, Fp8) {
  for_each_weight([](const at::Tensor& x) {
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor scale = wide.abs().max() / 448;
    EXPECT_TRUE(quantized(attributes_of("fp8"), x)
                    .equal((to_e4m3(wide / scale) * scale).to(x.scalar_type())));
    const at::Tensor rows = wide.abs().amax({-1}, true) / 448;
    const at::Tensor expected = (to_e4m3(wide / rows) * rows).to(x.scalar_type());
    EXPECT_TRUE(quantized({.num_bits = kE4M3, .axis = {0}}, x).equal(expected));
    const QuantizerAttributes per_token = {
        .num_bits = kE4M3, .block_sizes = BlockSizes{.sizes = {{-1, {}}}}, .dynamic = true};
    EXPECT_TRUE(quantized(per_token, x).equal(expected));
  });
}

TEST(QuantizerFormulas, Fp8In2dBlocks) {
  for_each_weight([](const at::Tensor& x) {
    const QuantizerAttributes attributes = {
        .num_bits = kE4M3, .block_sizes = BlockSizes{.sizes = {{-1, 128}, {-2, 3}}}};
    const at::Tensor blocks = x.to(at::kFloat).view({2, 3, 2, 128});
    const at::Tensor amax = blocks.abs().amax({1, 3}, true);
    const at::Tensor scale = amax / 448;
    const at::Tensor expected = (to_e4m3(blocks / scale) * scale).view({6, 256});
    EXPECT_TRUE(quantized(attributes, x).equal(expected.to(x.scalar_type())));
  });
}

TEST(QuantizerFormulas, Integers) {
  for_each_weight([](const at::Tensor& x) {
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor tensor_scale = wide.abs().max() / 127;
    EXPECT_TRUE(
        quantized(attributes_of("int8"), x)
            .equal(
                (to_integers(wide / tensor_scale, -128, 127) * tensor_scale).to(x.scalar_type())));
    const at::Tensor scale = wide.abs().amax({-1}, true) / 127;
    EXPECT_TRUE(quantized(attributes_of("int8_per_channel"), x)
                    .equal((to_integers(wide / scale, -128, 127) * scale).to(x.scalar_type())));
  });
}

TEST(QuantizerFormulas, Int4InBlocks) {
  for_each_weight([](const at::Tensor& x) {
    const at::Tensor amax = block_amax(x, 128);
    const at::Tensor scale = (amax / 7).masked_fill(amax.eq(0), 1);
    const at::Tensor expected =
        rounded_in_blocks(x, 128, scale, [](const at::Tensor& q) { return to_integers(q, -8, 7); });
    EXPECT_TRUE(quantized(attributes_of("int4"), x).equal(expected));
  });
}

TEST(QuantizerFormulas, NvFp4) {
  for (const int64_t block : {16, 32}) {
    for_each_weight([block](const at::Tensor& x) {
      const at::Tensor global = x.abs().max().to(at::kFloat) / (6 * 448);
      const at::Tensor amax = block_amax(x, block);
      const at::Tensor codes = to_e4m3((amax / (6 * global)).clamp(0x1p-9, 448));
      const at::Tensor scale = codes.masked_fill(amax.eq(0), 1) * global;
      const at::Tensor expected = rounded_in_blocks(x, block, scale, to_e2m1);
      EXPECT_TRUE(
          quantized(attributes_of(block == 16 ? "nvfp4" : "nvfp4_bs32"), x).equal(expected));
    });
  }
}

TEST(QuantizerFormulas, Microscaling) {
  for_each_weight([](const at::Tensor& x) {
    const at::Tensor amax = block_amax(x, 32);
    const auto scale = [&](double bound) {
      const at::Tensor exponent = (amax.to(at::kDouble) / bound).log2().ceil().clamp(-127, 127);
      return exponent.masked_fill(amax.eq(0), 0).exp2().to(at::kFloat);
    };
    EXPECT_TRUE(
        quantized(attributes_of("mxfp8"), x).equal(rounded_in_blocks(x, 32, scale(448), to_e4m3)));
    EXPECT_TRUE(
        quantized(attributes_of("mxfp4"), x).equal(rounded_in_blocks(x, 32, scale(6), to_e2m1)));
    EXPECT_TRUE(quantized(attributes_of("mxint8"), x)
                    .equal(rounded_in_blocks(x, 32, scale(127), [](const at::Tensor& q) {
                      return to_integers(q, -127, 127);
                    })));
  });
}

}  // namespace
}  // namespace lathe::quantization
