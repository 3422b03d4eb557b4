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

void check_scores(const at::Tensor& query, const at::Tensor& key, const ScoreOptions& options) {
  TORCH_CHECK(query.dim() == 4 && key.dim() == 4 && key.size(1) > 0 &&
                  query.size(1) % key.size(1) == 0 && query.size(3) == key.size(3),
              "attention: query is ", query.sizes(), ", key is ", key.sizes());
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

void check_value(const at::Tensor& key, const at::Tensor& value) {
  TORCH_CHECK(value.dim() == 4 && key.size(1) == value.size(1) && key.size(2) == value.size(2),
              "attention: key is ", key.sizes(), ", value is ", value.sizes());
}

at::Tensor softmax_with_sinks(const at::Tensor& scores, const std::optional<at::Tensor>& sinks) {
  if (!sinks) return at::softmax(scores, -1);
  const at::Tensor sink = sinks->to(at::kFloat)
                              .view({1, -1, 1, 1})
                              .expand({scores.size(0), scores.size(1), scores.size(2), 1});
  return at::softmax(at::cat({scores, sink}, -1), -1).narrow(-1, 0, scores.size(-1));
}

double factor_of(const at::Tensor& query, std::optional<double> scale) {
  return scale.value_or(1.0 / std::sqrt(static_cast<double>(query.size(3))));
}

/// Float32 probabilities [B, H, rows, Tk] of some rows of the queries.
class Scores {
 public:
  Scores(const at::Tensor& query, const at::Tensor& key,
         const std::optional<at::Tensor>& padding_mask, bool causal, std::optional<double> scale,
         std::optional<int64_t> sliding_window, const ScoreOptions& options)
      : query_(query),
        key_(key),
        keys_(grouped(key).transpose(-1, -2)),
        padding_mask_(padding_mask),
        causal_(causal),
        factor_(factor_of(query, scale)),
        window_(sliding_window),
        options_(options) {}

  at::Tensor probabilities(int64_t begin, int64_t end) const {
    const at::Tensor rows = query_.slice(2, begin, end).to(at::kFloat);
    const at::Tensor by_group = rows.unflatten(1, {key_.size(1), query_.size(1) / key_.size(1)});
    at::Tensor scores = at::matmul(by_group, keys_).flatten(1, 2) * factor_;
    if (options_.softcap) scores = (scores / *options_.softcap).tanh() * *options_.softcap;
    if (options_.bias) scores = scores + options_.bias->slice(2, begin, end).to(at::kFloat);
    // Not -inf: a row that sees nothing must not become NaN.
    const at::Tensor hidden =
        visible(query_, key_, padding_mask_, causal_, window_, begin, end).logical_not();
    scores = scores.masked_fill(hidden, std::numeric_limits<float>::lowest());
    return softmax_with_sinks(scores, options_.sinks);
  }

 private:
  const at::Tensor& query_;
  const at::Tensor& key_;
  at::Tensor keys_;
  const std::optional<at::Tensor>& padding_mask_;
  bool causal_;
  double factor_;
  std::optional<int64_t> window_;
  const ScoreOptions& options_;
};

}  // namespace

at::Tensor attention_probabilities(const at::Tensor& query, const at::Tensor& key,
                                   const std::optional<at::Tensor>& padding_mask, bool causal,
                                   std::optional<double> scale,
                                   std::optional<int64_t> sliding_window,
                                   const ScoreOptions& options) {
  check_scores(query, key, options);
  const Scores scores(query, key, padding_mask, causal, scale, sliding_window, options);
  return scores.probabilities(0, query.size(2)).to(query.scalar_type());
}

at::Tensor attention_values(const at::Tensor& probabilities, const at::Tensor& value) {
  TORCH_CHECK(probabilities.dim() == 4 && value.dim() == 4 && value.size(1) > 0 &&
                  probabilities.size(1) % value.size(1) == 0 &&
                  probabilities.size(3) == value.size(2),
              "attention: probabilities are ", probabilities.sizes(), ", value is ", value.sizes());
  const int64_t groups = value.size(1);
  const at::Tensor by_group =
      probabilities.to(at::kFloat).unflatten(1, {groups, probabilities.size(1) / groups});
  const at::Tensor result = at::matmul(by_group, grouped(value)).flatten(1, 2);
  // In memory [B, T, H, D], as the projection that follows wants it.
  return result.to(value.scalar_type()).transpose(1, 2).contiguous().transpose(1, 2);
}

at::Tensor sdpa_probabilities(const at::Tensor& query, const at::Tensor& key,
                              const std::optional<at::Tensor>& mask, double dropout, bool causal,
                              std::optional<double> scale, bool enable_gqa) {
  TORCH_CHECK(query.dim() == 4 && key.dim() == 4 && dropout == 0.0, "attention: query is ",
              query.sizes(), ", key is ", key.sizes(), ", dropout is ", dropout);
  const at::Tensor rows = query.to(at::kFloat);
  at::Tensor keys = key.to(at::kFloat).transpose(-1, -2);
  if (enable_gqa) keys = keys.repeat_interleave(query.size(1) / key.size(1), 1);
  at::Tensor scores = at::matmul(rows, keys) * factor_of(query, scale);
  constexpr float kHidden = std::numeric_limits<float>::lowest();
  if (mask && mask->scalar_type() == at::kBool) {
    scores = scores.masked_fill(mask->logical_not(), kHidden);
  } else if (mask) {
    scores = scores + mask->to(at::kFloat);
  }
  if (causal) {  // unlike lathe::attention, the first query is as old as the first key
    const at::Tensor seen = at::ones_like(scores.slice(0, 0, 1).slice(1, 0, 1), at::kBool).tril();
    scores = scores.masked_fill(seen.logical_not(), kHidden);
  }
  return at::softmax(scores, -1).to(query.scalar_type());
}

at::Tensor attention_with_options(const at::Tensor& query, const at::Tensor& key,
                                  const at::Tensor& value,
                                  const std::optional<at::Tensor>& padding_mask, bool causal,
                                  std::optional<double> scale,
                                  std::optional<int64_t> sliding_window,
                                  const ScoreOptions& options) {
  if (!options.any()) {
    return attention(query, key, value, padding_mask, causal, scale, sliding_window);
  }
  check_scores(query, key, options);
  check_value(key, value);
  const int64_t heads = query.size(1);
  const int64_t tokens = query.size(2);
  const at::Tensor values = grouped(value);
  const Scores scores(query, key, padding_mask, causal, scale, sliding_window, options);
  std::vector<at::Tensor> parts;
  for (int64_t begin = 0; begin < std::max<int64_t>(tokens, 1); begin += kRows) {
    const int64_t end = std::min(begin + kRows, tokens);
    const at::Tensor shares_by_group =
        scores.probabilities(begin, end).unflatten(1, {key.size(1), heads / key.size(1)});
    parts.push_back(at::matmul(shares_by_group, values).flatten(1, 2).to(query.scalar_type()));
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, 2);
}

}  // namespace lathe::ops
