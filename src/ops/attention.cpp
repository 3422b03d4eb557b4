#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ir/scalar_types.h"
#include "kernels/attention.h"
#include "ops/operators.h"

namespace lathe::ops {
namespace {

/// Which keys a query sees, as kernels::Attention says it.
struct Band {
  int64_t first;
  int64_t last;
};

kernels::HeadStrides head_strides(const at::Tensor& x) {
  return {x.stride(0), x.stride(1), x.stride(2)};
}

at::Tensor with_dense_rows(const at::Tensor& x) {
  return x.size(3) == 1 || x.stride(3) == 1 ? x : x.contiguous();
}

bool needs_gradient(const at::Tensor& x) { return at::GradMode::is_enabled() && x.requires_grad(); }

/// What the kernel takes: [B, H, T, D] of one dtype on the CPU, heads that share keys, no
/// gradients.
bool fits_kernel(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value) {
  for (const at::Tensor* x : {&query, &key, &value}) {
    const at::ScalarType dtype = x->scalar_type();
    const bool known = dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf;
    if (!known || dtype != query.scalar_type() || x->dim() != 4 || !x->is_cpu() ||
        x->layout() != at::kStrided || needs_gradient(*x))
      return false;
  }
  const bool shared = key.size(1) > 0 && query.size(1) % key.size(1) == 0;
  return shared && key.size(0) == query.size(0) && value.size(0) == query.size(0) &&
         key.size(1) == value.size(1) && key.size(2) == value.size(2) &&
         key.size(3) == query.size(3);
}

double scale_of(const at::Tensor& query, std::optional<double> scale) {
  return scale.value_or(1.0 / std::sqrt(static_cast<double>(query.size(3))));
}

/// A result whose memory is [B, T, H, D], as the projection that follows wants it.
at::Tensor tokens_first(const at::Tensor& query, const at::Tensor& value) {
  return at::empty({query.size(0), query.size(2), query.size(1), value.size(3)}, query.options())
      .transpose(1, 2);
}

/// A result whose dimensions lie in memory in the query's order, as those of LibTorch's own
/// attention do: exported graphs view it without asking.
at::Tensor as_query(const at::Tensor& query, const at::Tensor& value) {
  std::array<int64_t, 4> order = {0, 1, 2, 3};
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return query.stride(a) > query.stride(b); });
  std::array<int64_t, 4> sizes = {query.size(0), query.size(1), query.size(2), value.size(3)};
  std::array<int64_t, 4> permuted;
  std::array<int64_t, 4> inverse;
  for (size_t i = 0; i < order.size(); ++i) {
    permuted[i] = sizes[static_cast<size_t>(order[i])];
    inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
  }
  return at::empty(permuted, query.options()).permute(inverse);
}

at::Tensor run_kernel(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                      Band band, double scale, const at::Tensor& result) {
  const at::Tensor queries = with_dense_rows(query);
  const at::Tensor keys = with_dense_rows(key);
  const at::Tensor values = with_dense_rows(value);
  const kernels::Attention shape{.batch = query.size(0),
                                 .heads = query.size(1),
                                 .key_heads = key.size(1),
                                 .queries = query.size(2),
                                 .keys = key.size(2),
                                 .size = query.size(3),
                                 .value_size = value.size(3),
                                 .first = band.first,
                                 .last = band.last,
                                 .scale = static_cast<float>(scale)};
  kernels::attention(
      ir::to_dtype(query.scalar_type()), shape, {queries.const_data_ptr(), head_strides(queries)},
      {keys.const_data_ptr(), head_strides(keys)}, {values.const_data_ptr(), head_strides(values)},
      {result.mutable_data_ptr(), head_strides(result)});
  return result;
}

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
                      const std::optional<at::Tensor>& padding_mask, Band band) {
  const auto options = query.options().dtype(at::kLong);
  const at::Tensor rows = at::arange(query.size(2), options).unsqueeze(1);
  const at::Tensor distance = at::arange(key.size(2), options).unsqueeze(0) - rows;
  at::Tensor seen = distance.ge(band.first).logical_and(distance.le(band.last));
  seen = seen.unsqueeze(0).unsqueeze(0);
  if (padding_mask) seen = seen.logical_and(padding_mask->to(at::kBool).unsqueeze(1).unsqueeze(1));
  return seen;
}

/// The last query is as old as the last key.
Band band_of(const at::Tensor& query, const at::Tensor& key, bool causal,
             std::optional<int64_t> sliding_window) {
  const int64_t queries = query.size(2);
  const int64_t keys = key.size(2);
  const int64_t window =
      std::clamp<int64_t>(sliding_window.value_or(queries + keys), 0, queries + keys);
  return {keys - queries - window + 1, keys - queries + (causal ? 0 : window - 1)};
}

}  // namespace

std::optional<at::Tensor> fused_scaled_dot_product_attention(const at::Tensor& query,
                                                             const at::Tensor& key,
                                                             const at::Tensor& value, bool causal,
                                                             std::optional<double> scale) {
  if (!fits_kernel(query, key, value)) return std::nullopt;
  const Band band{-query.size(2), causal ? 0 : key.size(2)};
  const at::Tensor result = as_query(query, value);
  if (result.stride(3) != 1 && result.size(3) != 1) return std::nullopt;
  return run_kernel(query, key, value, band, scale_of(query, scale), result);
}

at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const std::optional<at::Tensor>& padding_mask, bool causal,
                     std::optional<double> scale, std::optional<int64_t> sliding_window) {
  TORCH_CHECK(query.dim() == 4 && key.dim() == 4 && value.dim() == 4 && key.size(1) > 0 &&
                  query.size(1) % key.size(1) == 0,
              "attention: query is ", query.sizes(), ", key is ", key.sizes(), ", value is ",
              value.sizes());
  const Band band = band_of(query, key, causal, sliding_window);
  if (!padding_mask && fits_kernel(query, key, value))
    return run_kernel(query, key, value, band, scale_of(query, scale), tokens_first(query, value));
  const at::Tensor keys = repeat_heads(key, query.size(1));
  const at::Tensor values = repeat_heads(value, query.size(1));
  const bool all_seen = !causal && band.first <= -query.size(2) && band.last >= key.size(2);
  const bool plain_causal = causal && query.size(2) == key.size(2) && band.first <= -query.size(2);
  if (!padding_mask && (all_seen || plain_causal))
    return at::scaled_dot_product_attention(query, keys, values, std::nullopt, 0.0, causal, scale);
  const at::Tensor seen = visibility(query, key, padding_mask, band);
  return at::scaled_dot_product_attention(query, keys, values, seen, 0.0, false, scale);
}

}  // namespace lathe::ops
