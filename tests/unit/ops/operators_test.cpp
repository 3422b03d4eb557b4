// The fused operators against the chains of ATen operators that they stand for.
#include "ops/operators.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

/// Rows and sizes around the vector lengths, and nothing.
const std::vector<std::vector<int64_t>> kShapes = {{1, 1},    {3, 2},    {5, 7},     {2, 16},
                                                   {4, 33},   {2, 3, 8}, {7},        {0, 16},
                                                   {2, 0, 5}, {17, 100}, {1, 9, 576}};

at::Tensor eager_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                          double weight_offset) {
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor normed = wide * (wide.pow(2).mean(-1, true) + eps).rsqrt();
  if (weight_offset == 0.0) return normed.to(x.scalar_type()) * weight;
  return (normed * (weight.to(at::kFloat) + weight_offset)).to(x.scalar_type());
}

/// PyTorch adds the squares in another order: the root may differ in its last bit, which turns a
/// rounding of bfloat16 now and then; the weight's product may double that step.
int64_t allowed_steps(at::ScalarType dtype) { return dtype == at::kFloat ? 4 : 2; }

template <typename Function>
void for_each_case(const Function& function) {
  for (const at::ScalarType dtype : kFloatTypes) {
    for (const auto& shape : kShapes) {
      SCOPED_TRACE(testing::Message() << dtype << " " << at::IntArrayRef(shape));
      function(dtype, shape);
    }
  }
}

TEST(Operators, RmsNorm) {
  for_each_case([](at::ScalarType dtype, const std::vector<int64_t>& shape) {
    const at::Tensor x = random_tensor(shape, dtype, 1, 3.0f);
    const at::Tensor weight = random_tensor({shape.back()}, dtype, 2);
    for (const double offset : {0.0, 1.0}) {
      const at::Tensor y = rms_norm(x, weight, 1e-5, offset);
      EXPECT_LE(most_steps(y, eager_rms_norm(x, weight, 1e-5, offset)), allowed_steps(dtype));
    }
  });
}

/// At the size of a model's row in bfloat16: how often the order of the sum shows.
TEST(Operators, RmsNormInBFloat16IsPyTorchsButForTheSum) {
  const at::Tensor x = random_tensor({512, 576}, at::kBFloat16, 1, 3.0f);
  const at::Tensor weight = random_tensor({576}, at::kBFloat16, 2);
  const at::Tensor y = rms_norm(x, weight, 1e-5, 0.0);
  const at::Tensor eager = eager_rms_norm(x, weight, 1e-5, 0.0);
  const int64_t different = y.ne(eager).sum().item<int64_t>();
  RecordProperty("different", static_cast<int>(different));
  EXPECT_LE(different, 60) << "of " << y.numel();
  EXPECT_LE(most_steps(y, eager), 2);
}

TEST(Operators, AddRmsNorm) {
  for_each_case([](at::ScalarType dtype, const std::vector<int64_t>& shape) {
    const at::Tensor a = random_tensor(shape, dtype, 1);
    const at::Tensor b = random_tensor(shape, dtype, 2);
    const at::Tensor weight = random_tensor({shape.back()}, dtype, 3);
    const auto [sum, y] = add_rms_norm(a, b, weight, 1e-6, 0.0);
    EXPECT_TRUE(sum.equal(a + b));
    EXPECT_TRUE(y.equal(rms_norm(a + b, weight, 1e-6, 0.0)));
  });
}

TEST(Operators, AddRmsNormBroadcastsAndPromotes) {
  const at::Tensor a = random_tensor({2, 3, 8}, at::kBFloat16, 1);
  const at::Tensor row = random_tensor({8}, at::kBFloat16, 2);
  const at::Tensor weight = random_tensor({8}, at::kBFloat16, 3);
  const auto [sum, y] = add_rms_norm(a, row, weight, 1e-6, 1.0);
  EXPECT_TRUE(sum.equal(a + row));
  EXPECT_TRUE(y.equal(rms_norm(a + row, weight, 1e-6, 1.0)));
  const at::Tensor wide = random_tensor({2, 3, 8}, at::kFloat, 4);
  const auto [wide_sum, wide_y] = add_rms_norm(a, wide, weight.to(at::kFloat), 1e-6, 0.0);
  EXPECT_TRUE(wide_sum.equal(a + wide));
  EXPECT_EQ(wide_y.scalar_type(), at::kFloat);
}

TEST(Operators, SwiGlu) {
  for_each_case([](at::ScalarType dtype, const std::vector<int64_t>& shape) {
    const at::Tensor gate = random_tensor(shape, dtype, 1, 20.0f);
    const at::Tensor up = random_tensor(shape, dtype, 2);
    EXPECT_LE(most_steps(swiglu(gate, up), at::silu(gate) * up), allowed_steps(dtype));
  });
}

TEST(Operators, SwiGluBroadcastsAndPromotes) {
  const at::Tensor gate = random_tensor({2, 1, 8}, at::kBFloat16, 1);
  const at::Tensor up = random_tensor({3, 8}, at::kFloat, 2);
  EXPECT_TRUE(swiglu(gate, up).equal(at::silu(gate) * up));
}

TEST(Operators, StridedInputs) {
  for (const at::ScalarType dtype : kFloatTypes) {
    const at::Tensor x = random_tensor({6, 5, 4}, dtype, 1);
    const at::Tensor other = random_tensor({6, 5, 4}, dtype, 3);
    const at::Tensor weight = random_tensor({20}, dtype, 2).slice(0, 0, 20, 2);
    const auto view = [](const at::Tensor& t) { return t.permute({2, 0, 1}).slice(1, 1, 6, 2); };
    const at::Tensor short_weight = weight.slice(0, 0, 10, 2);
    EXPECT_TRUE(rms_norm(view(x), short_weight, 1e-5, 0.0)
                    .equal(rms_norm(view(x).contiguous(), short_weight.contiguous(), 1e-5, 0.0)));
    EXPECT_TRUE(
        swiglu(view(x), view(other)).equal(swiglu(view(x).contiguous(), view(other).contiguous())));
    const auto [sum, y] = add_rms_norm(view(x), view(other), short_weight, 1e-5, 0.0);
    EXPECT_TRUE(sum.equal(view(x) + view(other)));
    EXPECT_TRUE(y.equal(rms_norm(sum, short_weight, 1e-5, 0.0)));
  }
}

at::Tensor eager_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = x.size(-1) / 2;
  const at::Tensor turned =
      at::cat({x.slice(-1, half, x.size(-1)).neg(), x.slice(-1, 0, half)}, -1);
  return x * cos.unsqueeze(1) + turned * sin.unsqueeze(1);
}

TEST(Operators, RotaryEmbeddingIsPyTorchsBitForBit) {
  for (const at::ScalarType dtype : kFloatTypes) {
    for (const int64_t size : {2, 6, 32, 64, 80}) {
      for (const int64_t tables : {1, 3}) {
        SCOPED_TRACE(testing::Message() << dtype << ", size " << size << ", tables " << tables);
        const at::Tensor cos = random_tensor({tables, 5, size}, dtype, 1);
        const at::Tensor sin = random_tensor({tables, 5, size}, dtype, 2);
        const at::Tensor flat = random_tensor({3, 5, 4 * size}, dtype, 3);
        // As it comes out of a projection, and with strided rows.
        const at::Tensor x = flat.unflatten(-1, {4, size}).transpose(1, 2);
        const at::Tensor y = rotary_embedding(x, cos, sin);
        EXPECT_TRUE(y.equal(eager_rotary(x, cos, sin)));
        EXPECT_TRUE(y.is_contiguous());
        const at::Tensor strided = random_tensor({3, 4, size, 5}, dtype, 4).transpose(2, 3);
        EXPECT_TRUE(rotary_embedding(strided, cos, sin).equal(eager_rotary(strided, cos, sin)));
      }
    }
  }
  const at::Tensor none = random_tensor({2, 4, 0, 8}, at::kFloat, 1);
  const at::Tensor table = random_tensor({1, 0, 8}, at::kFloat, 1);
  EXPECT_EQ(rotary_embedding(none, table, table).numel(), 0);
}

TEST(Operators, RotaryTable) {
  const at::Tensor inv_freq = at::arange(4, at::kFloat).mul(-0.5).exp();
  const at::Tensor positions = at::arange(12, at::kLong).view({2, 6});
  const auto [cos, sin] = rotary_table(inv_freq, positions, 0.5, at::kFloat);
  EXPECT_EQ(cos.sizes(), (at::IntArrayRef{2, 6, 8}));
  const double angle = 9 * std::exp(-1.0);
  for (const int64_t column : {2, 6}) {
    EXPECT_NEAR(cos[1][3][column].item<double>(), 0.5 * std::cos(angle), 1e-6);
    EXPECT_NEAR(sin[1][3][column].item<double>(), 0.5 * std::sin(angle), 1e-6);
  }
  const auto [cos16, sin16] = rotary_table(inv_freq, positions, 0.5, at::kBFloat16);
  EXPECT_TRUE(cos16.equal(cos.to(at::kBFloat16)));
  EXPECT_TRUE(sin16.equal(sin.to(at::kBFloat16)));
}

TEST(Operators, PositionIds) {
  const at::Tensor ids = at::ones({3, 4}, at::kLong);
  EXPECT_TRUE(position_ids(ids).equal(at::arange(4, at::kLong).unsqueeze(0)));
}

TEST(Operators, RefuseWhatDoesNotFit) {
  const at::Tensor x = at::ones({2, 8});
  EXPECT_THROW(rms_norm(x, at::ones({7}), 1e-5, 0.0), c10::Error);
  EXPECT_THROW(rms_norm(x, at::ones({1, 8}), 1e-5, 0.0), c10::Error);
  EXPECT_THROW(rms_norm(x, at::ones({8}, at::kBFloat16), 1e-5, 0.0), c10::Error);
  EXPECT_THROW(add_rms_norm(x, x, at::ones({7}), 1e-5, 0.0), c10::Error);
  EXPECT_THROW(swiglu(x, at::ones({2, 7})), c10::Error);
  const at::Tensor heads = at::ones({2, 4, 3, 8});
  const at::Tensor table = at::ones({1, 3, 8});
  EXPECT_THROW(rotary_embedding(x, table, table), c10::Error);
  EXPECT_THROW(rotary_embedding(heads, table, at::ones({1, 3, 6})), c10::Error);
  EXPECT_THROW(rotary_embedding(heads, at::ones({1, 4, 8}), at::ones({1, 4, 8})), c10::Error);
  EXPECT_THROW(rotary_embedding(heads, at::ones({3, 3, 8}), at::ones({3, 3, 8})), c10::Error);
  EXPECT_THROW(rotary_embedding(heads, table.to(at::kHalf), table.to(at::kHalf)), c10::Error);
  const at::Tensor odd = at::ones({2, 4, 3, 7});
  EXPECT_THROW(rotary_embedding(odd, at::ones({1, 3, 7}), at::ones({1, 3, 7})), c10::Error);
}

}  // namespace
}  // namespace lathe::ops
