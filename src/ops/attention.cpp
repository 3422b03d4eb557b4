#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include "ops/operators.h"

namespace lathe::ops {
namespace {

/// Key and value heads repeated to the number of query heads: [B, Hkv, T, D] -> [B, H, T, D].
at::Tensor repeat_heads(const at::Tensor& x, int64_t heads) {
  const int64_t own = x.size(1);
  if (own == heads) return x;
  return x.unsqueeze(2)
      .expand({x.size(0), own, heads / own, x.size(2), x.size(3)})
      .reshape({x.size(0), heads, x.size(2), x.size(3)});
}

/// Who may look at whom, true is yes: [1, 1, Tq, Tk], with the padding mask [B, 1, Tq, Tk].
at::Tensor visibility(const at::Tensor& query, const at::Tensor& key,
                      const std::optional<at::Tensor>& padding_mask, bool causal,
                      std::optional<int64_t> sliding_window) {
  const auto options = query.options().dtype(at::kLong);
  const at::Tensor row =
      at::arange(query.size(2), options).unsqueeze(1) + (key.size(2) - query.size(2));
  const at::Tensor age = row - at::arange(key.size(2), options).unsqueeze(0);
  at::Tensor seen = causal ? age.ge(0) : at::ones_like(age, at::kBool);
  if (sliding_window) seen = seen.logical_and(age.abs().lt(*sliding_window));
  seen = seen.unsqueeze(0).unsqueeze(0);
  if (padding_mask) seen = seen.logical_and(padding_mask->to(at::kBool).unsqueeze(1).unsqueeze(1));
  return seen;
}

}  // namespace

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const std::optional<at::Tensor>& padding_mask, bool causal,
                     std::optional<double> scale, std::optional<int64_t> sliding_window) {
  TORCH_CHECK(query.dim() == 4 && key.dim() == 4 && value.dim() == 4 && key.size(1) > 0 &&
                  query.size(1) % key.size(1) == 0,
              "attention: query is ", query.sizes(), ", key is ", key.sizes(), ", value is ",
              value.sizes());
  const at::Tensor keys = repeat_heads(key, query.size(1));
  const at::Tensor values = repeat_heads(value, query.size(1));
  const bool window_matters = sliding_window && *sliding_window < key.size(2);
  const bool offset = causal && query.size(2) != key.size(2);
  if (!padding_mask && !window_matters && !offset) {
    return at::scaled_dot_product_attention(query, keys, values, std::nullopt, 0.0, causal, scale);
  }
  const at::Tensor seen = visibility(query, key, padding_mask, causal, sliding_window);
  return at::scaled_dot_product_attention(query, keys, values, seen, 0.0, false, scale);
}

}  // namespace lathe::ops
