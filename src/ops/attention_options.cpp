#include "ops/attention_options.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/operators.h"

namespace lathe::ops {
namespace {

/// So many rows of scores are in memory at once.
constexpr int64_t kRows = 256;

void check_shapes(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                  const ScoreOptions& options) {
  TORCH_CHECK(query.dim() == 4 && key.dim() == 4 && value.dim() == 4 && key.size(1) > 0 &&
                  query.size(1) % key.size(1) == 0 && key.size(1) == value.size(1) &&
                  key.size(2) == value.size(2) && query.size(3) == key.size(3),
              "attention: query is ", query.sizes(), ", key is ", key.sizes(), ", value is ",
              value.sizes());
  if (options.sinks) {
    TORCH_CHECK(options.sinks->dim() == 1 && options.sinks->size(0) == query.size(1),
                "attention: sinks are ", options.sinks->sizes(), ", there are ", query.size(1),
                " heads");
  }
  if (options.bias) {
    TORCH_CHECK(options.bias->dim() == 4 && options.bias->size(2) == query.size(2) &&
                    options.bias->size(3) == key.size(2),
                "attention: bias is ", options.bias->sizes(), ", query is ", query.sizes());
  }
}

/// [B, Hkv, T, D] to float32 [B, Hkv, 1, T, D], which broadcasts over the heads of a group.
at::Tensor grouped(const at::Tensor& x) { return x.to(at::kFloat).unsqueeze(2); }

/// Who may look at whom, for the queries from `begin` to `end`: [1 or B, 1, rows, Tk].
at::Tensor visible(const at::Tensor& query, const at::Tensor& key,
                   const std::optional<at::Tensor>& padding_mask, bool causal,
                   std::optional<int64_t> window, int64_t begin, int64_t end) {
  const auto options = query.options().dtype(at::kLong);
  const int64_t offset = key.size(2) - query.size(2);
  const at::Tensor row = at::arange(begin, end, options).unsqueeze(1) + (causal ? offset : 0);
  const at::Tensor age = row - at::arange(key.size(2), options).unsqueeze(0);
  at::Tensor seen = causal ? age.ge(0) : at::ones_like(age, at::kBool);
  if (window) seen = seen.logical_and(age.abs().lt(*window));
  seen = seen.unsqueeze(0).unsqueeze(0);
  if (padding_mask) seen = seen.logical_and(padding_mask->to(at::kBool).unsqueeze(1).unsqueeze(1));
  return seen;
}

at::Tensor probabilities(const at::Tensor& scores, const std::optional<at::Tensor>& sinks) {
  if (!sinks) return at::softmax(scores, -1);
  const at::Tensor sink = sinks->to(at::kFloat)
                              .view({1, -1, 1, 1})
                              .expand({scores.size(0), scores.size(1), scores.size(2), 1});
  return at::softmax(at::cat({scores, sink}, -1), -1).narrow(-1, 0, scores.size(-1));
}

}  // namespace

at::Tensor attention_with_options(const at::Tensor& query, const at::Tensor& key,
                                  const at::Tensor& value,
                                  const std::optional<at::Tensor>& padding_mask, bool causal,
                                  std::optional<double> scale,
                                  std::optional<int64_t> sliding_window,
                                  const ScoreOptions& options) {
  if (!options.any()) {
    return attention(query, key, value, padding_mask, causal, scale, sliding_window);
  }
  check_shapes(query, key, value, options);
  const int64_t heads = query.size(1);
  const int64_t tokens = query.size(2);
  const double factor = scale.value_or(1.0 / std::sqrt(static_cast<double>(query.size(3))));
  const at::Tensor keys = grouped(key).transpose(-1, -2);
  const at::Tensor values = grouped(value);
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < std::max<int64_t>(tokens, 1); begin += kRows) {
    const int64_t end = std::min(begin + kRows, tokens);
    const at::Tensor rows = query.slice(2, begin, end).to(at::kFloat);
    const at::Tensor by_group = rows.unflatten(1, {key.size(1), heads / key.size(1)});
    at::Tensor scores = at::matmul(by_group, keys).flatten(1, 2) * factor;
    if (options.softcap) scores = (scores / *options.softcap).tanh() * *options.softcap;
    if (options.bias) scores = scores + options.bias->slice(2, begin, end).to(at::kFloat);
    // Not -inf: a row that sees nothing must not become NaN.
    const at::Tensor hidden =
        visible(query, key, padding_mask, causal, sliding_window, begin, end).logical_not();
    scores = scores.masked_fill(hidden, std::numeric_limits<float>::lowest());
    const at::Tensor shares = probabilities(scores, options.sinks);
    const at::Tensor shares_by_group = shares.unflatten(1, {key.size(1), heads / key.size(1)});
    parts.push_back(at::matmul(shares_by_group, values).flatten(1, 2).to(query.scalar_type()));
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, 2);
}

}  // namespace lathe::ops
