#include "ops/architecture_operators.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include <cmath>

#include "ops/experts.h"

namespace lathe::ops {
namespace {

/// x, or a tensor like `like` full of `value`.
at::Tensor or_full(const std::optional<at::Tensor>& x, const at::Tensor& like, int64_t value) {
  return x ? *x : at::full_like(like, value);
}

/// T5's buckets of the distance between tokens (Raffel et al. 2020, arXiv:1910.10683): half of them
/// for single steps, the others growing logarithmically up to max_distance. int64 [Tq, Tk].
at::Tensor relative_position_buckets(const at::Tensor& queries, const at::Tensor& keys,
                                     bool bidirectional, int64_t num_buckets,
                                     int64_t max_distance) {
  const int64_t sided = bidirectional ? num_buckets / 2 : num_buckets;
  const int64_t exact = sided / 2;
  TORCH_CHECK(exact > 0 && max_distance > exact, "relative_position_buckets: ", num_buckets,
              " buckets up to ", max_distance);
  const auto options = queries.options().dtype(at::kLong);
  const at::Tensor distance = at::arange(keys.size(1), options).unsqueeze(0) -
                              at::arange(queries.size(1), options).unsqueeze(1);
  const at::Tensor ahead = distance.gt(0).to(at::kLong) * (bidirectional ? sided : 0);
  const at::Tensor steps = bidirectional ? distance.abs() : (-distance).clamp_min(0);
  const double range = std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const at::Tensor logarithmic =
      ((steps.clamp_min(1).to(at::kFloat) / static_cast<double>(exact)).log() / range *
       static_cast<double>(sided - exact))
          .to(at::kLong);
  const at::Tensor far = (logarithmic + exact).clamp_max(sided - 1);
  return ahead + at::where(steps.lt(exact), steps, far);
}

}  // namespace

void define_architecture_operators(torch::Library& library) {
  library.def("or_full(Tensor? x, Tensor like, int value) -> Tensor", &or_full);
  library.def(
      "relative_position_buckets(Tensor queries, Tensor keys, bool bidirectional, int num_buckets, "
      "int max_distance) -> Tensor",
      &relative_position_buckets);
  library.def("assign_experts(Tensor experts, int num_experts) -> (Tensor, Tensor)",
              &assign_experts);
  library.def("expert_rows(Tensor x, Tensor pairs, Tensor bounds, int top_k, int expert) -> Tensor",
              &expert_rows);
  library.def("combine_experts(Tensor[] outputs, Tensor weights, Tensor pairs) -> Tensor",
              &combine_experts);
}

}  // namespace lathe::ops
