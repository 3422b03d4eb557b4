// Attention against softmax(Q K^T * scale) V written out, in float64.
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "ops/operators.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

struct Case {
  int64_t heads = 4;
  int64_t kv_heads = 4;
  int64_t queries = 6;
  int64_t keys = 6;
  bool causal = true;
  std::optional<double> scale = {};
  std::optional<int64_t> window = {};
  at::Tensor padding_mask = {};
};

/// Whether query i sees key j.
bool sees(const Case& c, int64_t i, int64_t j) {
  const int64_t age = i + c.keys - c.queries - j;
  if (c.causal && age < 0) return false;
  return !c.window || std::abs(age) < *c.window;
}

at::Tensor eager(const Case& c, const at::Tensor& query, const at::Tensor& key,
                 const at::Tensor& value) {
  const auto wide = [](const at::Tensor& x) { return x.to(at::kDouble); };
  const int64_t groups = c.heads / c.kv_heads;
  const at::Tensor keys = wide(key).repeat_interleave(groups, 1);
  const at::Tensor values = wide(value).repeat_interleave(groups, 1);
  const double scale = c.scale.value_or(1.0 / std::sqrt(static_cast<double>(query.size(-1))));
  at::Tensor scores = at::matmul(wide(query), keys.transpose(2, 3)) * scale;
  at::Tensor hidden = at::ones({c.queries, c.keys}, at::kBool);
  for (int64_t i = 0; i < c.queries; ++i) {
    for (int64_t j = 0; j < c.keys; ++j) hidden[i][j].fill_(!sees(c, i, j));
  }
  if (c.padding_mask.defined())
    hidden = hidden.logical_or(c.padding_mask.eq(0).unsqueeze(1).unsqueeze(1));
  scores = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity());
  return at::matmul(scores.softmax(-1), values);
}

void expect_eager(const Case& c) {
  for (const at::ScalarType dtype : kFloatTypes) {
    SCOPED_TRACE(dtype);
    const at::Tensor query = random_tensor({2, c.heads, c.queries, 8}, dtype, 1);
    const at::Tensor key = random_tensor({2, c.kv_heads, c.keys, 8}, dtype, 2);
    const at::Tensor value = random_tensor({2, c.kv_heads, c.keys, 8}, dtype, 3);
    const std::optional<at::Tensor> mask =
        c.padding_mask.defined() ? std::optional(c.padding_mask) : std::nullopt;
    const at::Tensor y = attention(query, key, value, mask, c.causal, c.scale, c.window);
    EXPECT_EQ(y.scalar_type(), dtype);
    const at::Tensor difference =
        (y.to(at::kDouble) - eager(c, query, key, value)).abs().nan_to_num(0.0);
    EXPECT_LT(difference.max().item<double>(), dtype == at::kFloat ? 1e-5 : 2e-2);
    EXPECT_TRUE(y.isfinite().all().item<bool>());
  }
}

TEST(Attention, Causal) { expect_eager({}); }
TEST(Attention, Bidirectional) { expect_eager({.causal = false}); }
TEST(Attention, GroupedQueries) { expect_eager({.heads = 6, .kv_heads = 2}); }
TEST(Attention, OneKeyHead) { expect_eager({.heads = 3, .kv_heads = 1}); }
TEST(Attention, Scale) { expect_eager({.scale = 0.01}); }
TEST(Attention, MoreKeysThanQueries) { expect_eager({.queries = 3, .keys = 9}); }
TEST(Attention, OneQuery) { expect_eager({.queries = 1, .keys = 9}); }
TEST(Attention, CrossAttention) { expect_eager({.queries = 7, .keys = 4, .causal = false}); }

TEST(Attention, SlidingWindow) {
  for (const int64_t window : {1, 2, 5, 6, 7, 100}) {
    expect_eager({.window = window});
    expect_eager({.causal = false, .window = window});
    expect_eager({.queries = 3, .keys = 9, .window = window});
  }
}

TEST(Attention, PaddingAtTheRight) {
  const at::Tensor mask = at::tensor({1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}, at::kLong).view({2, 6});
  expect_eager({.padding_mask = mask});
  expect_eager({.causal = false, .padding_mask = mask});
  expect_eager({.heads = 4, .kv_heads = 2, .window = 2, .padding_mask = mask.to(at::kBool)});
}

/// The first queries see nothing at all: their values mean nothing, but must not be NaN.
TEST(Attention, PaddingAtTheLeft) {
  const at::Tensor mask = at::tensor({0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1}, at::kLong).view({2, 6});
  expect_eager({.padding_mask = mask});
  expect_eager({.queries = 4, .keys = 2});
}

TEST(Attention, StridedInputs) {
  const at::Tensor flat = random_tensor({2, 6, 3 * 4 * 8}, at::kFloat, 1);
  const auto heads = [&](int64_t i) {
    return flat.slice(-1, i * 32, (i + 1) * 32).unflatten(-1, {4, 8}).transpose(1, 2);
  };
  const at::Tensor y = attention(heads(0), heads(1), heads(2), {}, true, {}, {});
  EXPECT_LT(
      (y.to(at::kDouble) - eager({}, heads(0), heads(1), heads(2))).abs().max().item<double>(),
      1e-5);
}

TEST(Attention, RefusesHeadsThatDoNotDivide) {
  const at::Tensor query = at::ones({1, 3, 2, 8});
  const at::Tensor key = at::ones({1, 2, 2, 8});
  EXPECT_THROW(attention(query, key, key, {}, true, {}, {}), c10::Error);
  EXPECT_THROW(attention(query[0], key, key, {}, true, {}, {}), c10::Error);
}

}  // namespace
}  // namespace lathe::ops
