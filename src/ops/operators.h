#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lathe::ops {

/// Registers the operators of the "lathe" namespace (see leaf_types.md) and those of PyTorch's
/// "quantized_decomposed" with the dispatcher: once, at the first call.
void register_operators();

/// The same operators for C++ callers. CPU, float32, bfloat16 or float16 for the fused ones.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    double weight_offset);
/// The sum a + b and its norm.
std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& a, const at::Tensor& b,
                                               const at::Tensor& weight, double eps,
                                               double weight_offset);
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
at::Tensor rotary_embedding(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin);
at::Tensor position_ids(const at::Tensor& ids);
/// cos and sin [B or 1, T, D] of the rotary angles, scaled, in `dtype`.
std::pair<at::Tensor, at::Tensor> rotary_table(const at::Tensor& inv_freq,
                                               const at::Tensor& position_ids, double scaling,
                                               at::ScalarType dtype);
at::Tensor attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                     const std::optional<at::Tensor>& padding_mask, bool causal,
                     std::optional<double> scale, std::optional<int64_t> sliding_window);
/// PyTorch's operator by Lathe's kernel, without mask and dropout; nothing where the kernel does
/// not fit: other than [B, H, T, D] in one dtype of the CPU's, or gradients. Heads may share key
/// heads.
std::optional<at::Tensor> fused_scaled_dot_product_attention(const at::Tensor& query,
                                                             const at::Tensor& key,
                                                             const at::Tensor& value, bool causal,
                                                             std::optional<double> scale);

}  // namespace lathe::ops
