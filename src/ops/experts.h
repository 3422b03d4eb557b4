#pragma once

#include <ATen/core/List.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>

namespace lathe::ops {

/// How the logits of a router become weights of experts.
struct Routing {
  enum class Score {
    kSoftmax,        // softmax over all experts, then the best top_k (Mixtral, Qwen)
    kSoftmaxOfTopK,  // the best top_k logits, softmax over these (gpt-oss)
    kSigmoid,        // sigmoid; groups and correction bias choose (DeepSeek-V3)
  };
  Score score = Score::kSoftmax;
  int64_t top_k = 1;
  bool normalize = false;  // the top_k weights sum to 1
  double scaling = 1.0;    // of the weights
  /// kSigmoid: experts lie in `groups` equal groups, of which the best `top_groups` are open.
  int64_t groups = 1;
  int64_t top_groups = 1;
};

/// "softmax", "softmax_of_top_k", "sigmoid"; nothing for other names.
std::optional<Routing::Score> routing_score(std::string_view name);

/// logits [T, E] -> weights [T, top_k] in the logits' dtype (float32 for kSigmoid), experts [T,
/// top_k] int64. `correction` [E] is added to kSigmoid's scores for the choice alone.
std::tuple<at::Tensor, at::Tensor> route(const at::Tensor& logits, const Routing& routing,
                                         const std::optional<at::Tensor>& correction);

/// experts [T, k] -> pairs [T * k]: the flat indices of experts, sorted by expert and then by
/// token; bounds [E + 1] on the CPU: expert e has pairs from bounds[e] to bounds[e + 1], so that
/// their differences are the number of tokens that each expert sees.
std::tuple<at::Tensor, at::Tensor> assign_experts(const at::Tensor& experts, int64_t num_experts);

/// The tokens of one expert: x [T, K] -> [n, K].
at::Tensor expert_rows(const at::Tensor& x, const at::Tensor& pairs, const at::Tensor& bounds,
                       int64_t top_k, int64_t expert);

/// The weighted sum of what the experts made of each token: outputs [n_e, K] of each expert in
/// order, weights [T, k] -> [T, K] in the outputs' dtype, added up in float32.
at::Tensor combine_experts(const c10::List<at::Tensor>& outputs, const at::Tensor& weights,
                           const at::Tensor& pairs);

}  // namespace lathe::ops
