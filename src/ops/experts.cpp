#include "ops/experts.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/topk.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

namespace lathe::ops {
namespace {

/// Scores of experts outside of the best groups become -inf. A group is as good as the sum of its
/// two best experts.
at::Tensor close_groups(const at::Tensor& scores, const Routing& routing) {
  const int64_t experts = scores.size(-1);
  TORCH_CHECK(routing.groups > 0 && experts % routing.groups == 0 && routing.top_groups > 0 &&
                  routing.top_groups <= routing.groups && experts / routing.groups >= 2,
              "route: ", experts, " experts in ", routing.groups, " groups, of which ",
              routing.top_groups, " are taken");
  const at::Tensor by_group = scores.unflatten(-1, {routing.groups, experts / routing.groups});
  const at::Tensor best = std::get<0>(at::topk(by_group, 2, -1)).sum(-1);
  const at::Tensor open = std::get<1>(at::topk(best, routing.top_groups, -1));
  const at::Tensor closed = at::ones_like(best, at::kBool).scatter(-1, open, false);
  return by_group.masked_fill(closed.unsqueeze(-1), -std::numeric_limits<float>::infinity())
      .flatten(-2, -1);
}

std::tuple<at::Tensor, at::Tensor> route_sigmoid(const at::Tensor& logits, const Routing& routing,
                                                 const std::optional<at::Tensor>& correction) {
  const at::Tensor scores = logits.to(at::kFloat).sigmoid();
  at::Tensor choice = correction ? scores + correction->to(at::kFloat) : scores;
  if (routing.groups > 1) choice = close_groups(choice, routing);
  const at::Tensor experts = std::get<1>(at::topk(choice, routing.top_k, -1));
  at::Tensor weights = scores.gather(-1, experts);
  if (routing.normalize) weights = weights / (weights.sum(-1, true) + 1e-20);
  return {weights * routing.scaling, experts};
}

}  // namespace

std::optional<Routing::Score> routing_score(std::string_view name) {
  if (name == "softmax") return Routing::Score::kSoftmax;
  if (name == "softmax_of_top_k") return Routing::Score::kSoftmaxOfTopK;
  if (name == "sigmoid") return Routing::Score::kSigmoid;
  return std::nullopt;
}

std::tuple<at::Tensor, at::Tensor> route(const at::Tensor& logits, const Routing& routing,
                                         const std::optional<at::Tensor>& correction) {
  TORCH_CHECK(logits.dim() == 2 && routing.top_k > 0 && routing.top_k <= logits.size(1),
              "route: logits are ", logits.sizes(), ", top_k is ", routing.top_k);
  if (routing.score == Routing::Score::kSigmoid) return route_sigmoid(logits, routing, correction);
  if (routing.score == Routing::Score::kSoftmaxOfTopK) {
    auto [best, experts] = at::topk(logits, routing.top_k, -1);
    return {at::softmax(best, -1) * routing.scaling, experts};
  }
  auto [weights, experts] = at::topk(at::softmax(logits.to(at::kFloat), -1), routing.top_k, -1);
  if (routing.normalize) weights = weights / weights.sum(-1, true);
  return {(weights * routing.scaling).to(logits.scalar_type()), experts};
}

std::tuple<at::Tensor, at::Tensor> assign_experts(const at::Tensor& experts, int64_t num_experts) {
  TORCH_CHECK(experts.dim() == 2 && experts.scalar_type() == at::kLong && num_experts > 0,
              "assign_experts: experts are ", experts.sizes(), ", num_experts is ", num_experts);
  const at::Tensor flat = experts.reshape({-1});
  const at::Tensor counts = at::bincount(flat, {}, num_experts);
  TORCH_CHECK(counts.size(0) == num_experts, "assign_experts: an expert is ", counts.size(0) - 1,
              ", there are ", num_experts);
  const at::Tensor bounds = at::cat({at::zeros({1}, counts.options()), counts.cumsum(0)});
  return {at::argsort(flat, /*stable=*/true, 0, false), bounds.to(at::kCPU)};
}

at::Tensor expert_rows(const at::Tensor& x, const at::Tensor& pairs, const at::Tensor& bounds,
                       int64_t top_k, int64_t expert) {
  TORCH_CHECK(expert >= 0 && expert + 1 < bounds.size(0) && top_k > 0 && bounds.is_cpu() &&
                  bounds.scalar_type() == at::kLong,
              "expert_rows: expert ", expert, " of ", bounds.size(0) - 1);
  const int64_t* offsets = bounds.const_data_ptr<int64_t>();
  const at::Tensor own = pairs.slice(0, offsets[expert], offsets[expert + 1]);
  return x.index_select(0, own.div(top_k, "floor"));
}

at::Tensor combine_experts(const c10::List<at::Tensor>& outputs, const at::Tensor& weights,
                           const at::Tensor& pairs) {
  const at::Tensor rows = at::cat(outputs.vec(), 0);
  TORCH_CHECK(rows.dim() == 2 && rows.size(0) == pairs.size(0) && weights.dim() == 2 &&
                  weights.numel() == pairs.numel(),
              "combine_experts: outputs are ", rows.sizes(), ", weights ", weights.sizes());
  const at::Tensor places = at::arange(pairs.size(0), pairs.options());
  const at::Tensor row_of = at::empty_like(pairs).scatter(0, pairs, places).view(weights.sizes());
  at::Tensor sum = at::zeros({weights.size(0), rows.size(1)}, rows.options().dtype(at::kFloat));
  for (int64_t choice = 0; choice < weights.size(1); ++choice) {
    const at::Tensor part = rows.index_select(0, row_of.select(1, choice)).to(at::kFloat);
    sum = sum + part * weights.select(1, choice).to(at::kFloat).unsqueeze(1);
  }
  return sum.to(rows.scalar_type());
}

}  // namespace lathe::ops
