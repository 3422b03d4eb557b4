#include "quantization/affine_bias.h"

#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace lathe::quantization {
namespace {

/// The listed axes, from 0; both 3 and -1 name the last of four.
std::vector<int64_t> reduced_axes(const at::Tensor& x, const Bias& how) {
  std::vector<int64_t> axes;
  for (int64_t axis = 0; axis < x.dim(); ++axis) {
    const auto is = [&](int listed) { return listed == axis || listed == axis - x.dim(); };
    if (std::any_of(how.axes.begin(), how.axes.end(), is)) axes.push_back(axis);
  }
  return axes;
}

/// Without axes nothing is reduced: ATen would reduce everything.
at::Tensor sum_over(const at::Tensor& x, const std::vector<int64_t>& axes) {
  return axes.empty() ? x.to(at::kDouble) : x.sum(axes, /*keepdim=*/true, at::kDouble);
}
at::Tensor low_over(const at::Tensor& x, const std::vector<int64_t>& axes) {
  return axes.empty() ? x : at::amin(x, axes, /*keepdim=*/true);
}
at::Tensor high_over(const at::Tensor& x, const std::vector<int64_t>& axes) {
  return axes.empty() ? x : at::amax(x, axes, /*keepdim=*/true);
}

}  // namespace

at::Tensor bias_of(const at::Tensor& x, const Bias& how) {
  AffineBias bias;
  bias.observe(x, how);
  return bias.value();
}

at::Tensor centered(const at::Tensor& x, const Bias& how) {
  return x.to(at::kFloat).sub(bias_of(x, how));
}

void AffineBias::observe(const at::Tensor& x, const Bias& how) {
  const std::vector<int64_t> axes = reduced_axes(x, how);
  const at::Tensor wide = x.to(at::kFloat);
  const at::Tensor sum = sum_over(wide, axes);
  const at::Tensor low = low_over(wide, axes);
  const at::Tensor high = high_over(wide, axes);
  const bool first = count_ == 0;
  if (!first && sum.sizes() != sum_.sizes()) {
    throw_user("affine quantization (bias) over axes {} keeps axes that differ between batches",
               fmt::join(how.axes, ", "));
  }
  sum_ = first ? sum : sum_.add(sum);
  low_ = first ? low : at::minimum(low_, low);
  high_ = first ? high : at::maximum(high_, high);
  count_ += x.numel() / std::max<int64_t>(1, sum.numel());
  const at::Tensor value = how.method == Bias::Method::kMean
                               ? sum_.div(static_cast<double>(count_)).to(at::kFloat)
                               : low_.add(high_).div(2);
  value_ = value.to(x.scalar_type()).to(at::kFloat);
}

void AffineBias::reset() { *this = AffineBias(); }

float AffineBias::amax() const {
  return at::maximum(high_.sub(value_), value_.sub(low_)).max().item<float>();
}

}  // namespace lathe::quantization
