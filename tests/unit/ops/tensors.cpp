#include "unit/ops/tensors.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/where.h>

#include <random>

namespace lathe {
namespace {

/// Numbers in the order of the floats, one apart for neighbours.
at::Tensor ordered(const at::Tensor& x) {
  const bool wide = x.scalar_type() == at::kFloat;
  const at::Tensor bits = x.contiguous().view(wide ? at::kInt : at::kShort).to(at::kLong);
  const at::Tensor magnitude = bits.bitwise_and(wide ? 0x7fffffff : 0x7fff);
  return at::where(bits.lt(0), magnitude.neg(), magnitude);
}

}  // namespace

at::Tensor random_tensor(std::vector<int64_t> shape, at::ScalarType dtype, uint32_t seed,
                         float deviation) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, deviation);
  at::Tensor values = at::empty(shape, at::kFloat);
  float* data = values.mutable_data_ptr<float>();
  for (int64_t i = 0; i < values.numel(); ++i) data[i] = normal(random);
  return values.to(dtype);
}

int64_t most_steps(const at::Tensor& a, const at::Tensor& b) {
  TORCH_CHECK(a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type(), "found ", a.sizes(),
              " of ", a.scalar_type(), ", expected ", b.sizes(), " of ", b.scalar_type());
  if (a.numel() == 0) return 0;
  return (ordered(a) - ordered(b)).abs().max().item<int64_t>();
}

}  // namespace lathe
