#include "api/token_statistics.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "base/error.h"

namespace lathe::api {
namespace {

constexpr int64_t kRowsAtOnce = 128;  // tokens whose float32 logits are in memory

void append(std::vector<double>& list, const at::Tensor& values) {
  const at::Tensor dense = values.to(at::kDouble).contiguous();
  list.insert(list.end(), dense.const_data_ptr<double>(),
              dense.const_data_ptr<double>() + dense.numel());
}

double mean_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Standard error of the mean.
double error_of(std::span<const double> values, double mean) {
  if (values.size() < 2) return 0;
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  const auto count = static_cast<double>(values.size());
  return std::sqrt(squares / (count - 1) / count);
}

double percentile(std::vector<double> values, double share) {
  const auto rank = static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(rank),
                   values.end());
  return values[rank];
}

at::Tensor target_losses(const at::Tensor& log_probabilities, const at::Tensor& targets) {
  return at::gather(log_probabilities, 1, targets.unsqueeze(1)).squeeze(1).neg();
}

}  // namespace

void TokenStatistics::add(const at::Tensor& logits, const at::Tensor& ids,
                          const at::Tensor& reference) {
  for (int64_t sample = 0; sample < ids.size(0); ++sample) {
    const int64_t predicted = ids.size(1) - 1;
    for (int64_t first = 0; first < predicted; first += kRowsAtOnce) {
      const int64_t last = std::min(first + kRowsAtOnce, predicted);
      const auto rows = [&](const at::Tensor& all) {
        return all.select(0, sample).slice(0, first, last);
      };
      const at::Tensor targets = ids.select(0, sample).slice(0, first + 1, last + 1);
      add_row(rows(logits), targets, reference.defined() ? rows(reference) : at::Tensor());
    }
  }
}

void TokenStatistics::add_row(const at::Tensor& logits, const at::Tensor& targets,
                              const at::Tensor& reference) {
  const at::Tensor log_p = at::log_softmax(logits.to(at::kFloat), -1);
  append(losses_, target_losses(log_p, targets));
  if (!std::isfinite(losses_.back())) throw_data("the model gives logits that are NaN or infinite");
  if (!reference.defined()) return;
  const at::Tensor log_q = at::log_softmax(reference.to(at::kFloat), -1);
  append(divergences_, log_q.exp().mul(log_q.sub(log_p)).sum(-1));
  reference_loss_ += target_losses(log_q, targets).sum(at::kDouble).item<double>();
  same_top_ += at::argmax(log_p, -1).eq(at::argmax(log_q, -1)).sum().item<int64_t>();
}

Evaluation TokenStatistics::result() const {
  check_internal(!losses_.empty(), "an evaluation without tokens");
  Evaluation result;
  result.tokens = static_cast<int64_t>(losses_.size());
  result.loss = mean_of(losses_);
  result.loss_error = error_of(losses_, result.loss);
  result.perplexity = std::exp(result.loss);
  result.perplexity_error = result.perplexity * result.loss_error;
  if (divergences_.empty()) return result;
  Evaluation::Divergence& divergence = result.divergence.emplace();
  const auto count = static_cast<double>(divergences_.size());
  divergence.mean = mean_of(divergences_);
  divergence.error = error_of(divergences_, divergence.mean);
  divergence.median = percentile(divergences_, 0.5);
  divergence.percentile_99 = percentile(divergences_, 0.99);
  divergence.maximum = *std::max_element(divergences_.begin(), divergences_.end());
  divergence.same_top = static_cast<double>(same_top_) / count;
  divergence.reference_perplexity = std::exp(reference_loss_ / count);
  return result;
}

}  // namespace lathe::api
