#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lathe::ops {

/// What changes the scores of attention beside scale and mask.
struct ScoreOptions {
  std::optional<double> softcap;    // scores become softcap * tanh(scores / softcap)
  std::optional<at::Tensor> sinks;  // [H]: a score of each head that takes its share of the softmax
                                    // and has no value
  std::optional<at::Tensor> bias;   // [B or 1, H, Tq, Tk], added to the scores

  bool any() const { return softcap || sinks || bias; }
};

/// The "lathe::attention" operator: see leaf_types.md. With score options the scores are made
/// explicitly, in float32, for some rows of the queries at a time.
at::Tensor attention_with_options(const at::Tensor& query, const at::Tensor& key,
                                  const at::Tensor& value,
                                  const std::optional<at::Tensor>& padding_mask, bool causal,
                                  std::optional<double> scale,
                                  std::optional<int64_t> sliding_window,
                                  const ScoreOptions& options);

/// "lathe::attention_probabilities": what attention_with_options multiplies values with, [B, H, Tq,
/// Tk] in the query's dtype, and "lathe::attention_values", that product.
at::Tensor attention_probabilities(const at::Tensor& query, const at::Tensor& key,
                                   const std::optional<at::Tensor>& padding_mask, bool causal,
                                   std::optional<double> scale,
                                   std::optional<int64_t> sliding_window,
                                   const ScoreOptions& options);
at::Tensor attention_values(const at::Tensor& probabilities, const at::Tensor& value);

/// "lathe::sdpa_probabilities": those of aten::scaled_dot_product_attention, whose arguments it
/// takes.
at::Tensor sdpa_probabilities(const at::Tensor& query, const at::Tensor& key,
                              const std::optional<at::Tensor>& mask, double dropout, bool causal,
                              std::optional<double> scale, bool enable_gqa);

}  // namespace lathe::ops
