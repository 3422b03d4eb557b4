// PyTorch's attention operator in graphs against ATen's own, written out in float64.
#include <ATen/TensorOperators.h>
#include <ATen/ops/_scaled_dot_product_attention_math.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "ops/interpreter.h"
#include "ops/operators.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

at::Tensor run(const std::string& options, const at::Tensor& query, const at::Tensor& key,
               const at::Tensor& value, bool fuse = true) {
  const ir::ModulePtr module = ir::parse_module(
      "module Attention { graph @1 { %q = placeholder \"q\" %k = placeholder \"k\" %v = "
      "placeholder \"v\" %a = call_op aten::scaled_dot_product_attention(%q, %k, %v" +
      options + ") output(%a) } }");
  Interpreter interpreter;
  interpreter.set_fusion(fuse);
  return interpreter.call("", *module, {query, key, value}).toTensor();
}

at::Tensor in_float64(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                      bool causal, std::optional<double> scale) {
  const int64_t group = query.size(1) / key.size(1);
  return std::get<0>(at::_scaled_dot_product_attention_math(
      query.to(at::kDouble), key.to(at::kDouble).repeat_interleave(group, 1),
      value.to(at::kDouble).repeat_interleave(group, 1), {}, 0.0, causal, {}, scale));
}

/// Half a step of the dtype, and what sums in float32 lose.
void expect_rounded_once(const at::Tensor& y, const at::Tensor& expected) {
  const double step = y.scalar_type() == at::kFloat      ? 0
                      : y.scalar_type() == at::kBFloat16 ? 0x1p-8
                                                         : 0x1p-11;
  const at::Tensor excess = (y.to(at::kDouble) - expected).abs() - expected.abs() * step;
  EXPECT_LT(excess.max().item<double>(), 1e-5);
}

struct Shape {
  int64_t heads, key_heads, queries, keys, size, value_size;
};

constexpr Shape kShapes[] = {{2, 2, 7, 7, 8, 8},      {4, 2, 33, 33, 16, 16},
                             {6, 1, 65, 65, 20, 12},  {3, 3, 1, 70, 64, 64},
                             {3, 3, 70, 1, 5, 7},     {2, 1, 130, 40, 24, 24},
                             {2, 1, 40, 130, 24, 24}, {9, 3, 128, 128, 64, 64}};

TEST(ScaledDotProductAttention, IsPyTorchs) {
  for (const Shape& s : kShapes) {
    for (const at::ScalarType dtype : kFloatTypes) {
      for (const bool causal : {false, true}) {
        SCOPED_TRACE(testing::Message() << s.heads << "/" << s.key_heads << " heads, " << s.queries
                                        << " queries, " << s.keys << " keys, " << dtype);
        const at::Tensor query = random_tensor({2, s.heads, s.queries, s.size}, dtype, 1);
        const at::Tensor key = random_tensor({2, s.key_heads, s.keys, s.size}, dtype, 2);
        const at::Tensor value = random_tensor({2, s.key_heads, s.keys, s.value_size}, dtype, 3);
        const at::Tensor y = run(std::string(", is_causal=") + (causal ? "True" : "False") +
                                     ", scale=0.2, enable_gqa=True",
                                 query, key, value);
        const at::Tensor expected = in_float64(query, key, value, causal, 0.2);
        ASSERT_EQ(y.sizes(), expected.sizes());
        EXPECT_EQ(y.scalar_type(), dtype);
        expect_rounded_once(y, expected);
      }
    }
  }
}

TEST(ScaledDotProductAttention, StridesAndRepeatedHeads) {
  const at::Tensor flat = random_tensor({2, 40, 4 * 16}, at::kBFloat16, 1);
  const at::Tensor query = flat.unflatten(-1, {4, 16}).transpose(1, 2);
  const at::Tensor key = random_tensor({2, 1, 16, 40}, at::kBFloat16, 2).transpose(2, 3);
  const at::Tensor y = run(", is_causal=True", query, key.expand({2, 4, 40, 16}), query);
  const at::Tensor expected = in_float64(query, key.expand({2, 4, 40, 16}), query, true, {});
  expect_rounded_once(y, expected);
}

TEST(ScaledDotProductAttention, WhatTheKernelDoesNotTakeStaysPyTorchs) {
  const at::Tensor x = random_tensor({2, 3, 9, 8}, at::kFloat, 1);
  EXPECT_FALSE(fused_scaled_dot_product_attention(x[0], x[0], x[0], true, {}).has_value());
  EXPECT_FALSE(fused_scaled_dot_product_attention(x.to(at::kDouble), x.to(at::kDouble),
                                                  x.to(at::kDouble), true, {})
                   .has_value());
  const at::Tensor weight = x.clone().requires_grad_(true);
  EXPECT_FALSE(fused_scaled_dot_product_attention(weight, x, x, true, {}).has_value());
  EXPECT_TRUE(fused_scaled_dot_product_attention(x, x, x, true, {}).has_value());
  for (const at::Tensor& q : {x[0], x.to(at::kDouble), weight}) {
    EXPECT_TRUE(run(", is_causal=True", q, q, q)
                    .equal(at::scaled_dot_product_attention(q, q, q, {}, 0.0, true)));
  }
  EXPECT_TRUE(run("", x, x, x, false).equal(at::scaled_dot_product_attention(x, x, x)));
}

}  // namespace
}  // namespace lathe::ops
