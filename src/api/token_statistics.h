#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "lathe/evaluate.h"

namespace lathe::api {

/// Gathers, token by token, how well logits predict the next id, and how far they are from
/// reference logits.
class TokenStatistics {
 public:
  /// logits [B, T, V] of ids [B, T]; `reference` likewise, or undefined. DataError if the loss is
  /// not finite.
  void add(const at::Tensor& logits, const at::Tensor& ids, const at::Tensor& reference);

  Evaluation result() const;

 private:
  void add_row(const at::Tensor& logits, const at::Tensor& targets, const at::Tensor& reference);

  std::vector<double> losses_;
  std::vector<double> divergences_;
  double reference_loss_ = 0;
  int64_t same_top_ = 0;
};

}  // namespace lathe::api
