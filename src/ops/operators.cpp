#include "ops/operators.h"

#include <ATen/ops/add.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/silu.h>
#include <torch/library.h>

#include "ir/scalar_types.h"
#include "kernels/nn_kernels.h"
#include "ops/architecture_operators.h"
#include "ops/attention_options.h"
#include "ops/decomposed_operators.h"

namespace lathe::ops {
namespace {

kernels::RmsNorm norm_shape(const at::Tensor& x, const at::Tensor& weight, double eps,
                            double weight_offset) {
  TORCH_CHECK(weight.dim() == 1 && x.dim() >= 1 && x.size(-1) == weight.size(0), "rms_norm: x is ",
              x.sizes(), ", weight is ", weight.sizes());
  TORCH_CHECK(x.scalar_type() == weight.scalar_type(), "rms_norm: x is ", x.scalar_type(),
              ", weight is ", weight.scalar_type());
  const int64_t size = weight.size(0);
  return {.rows = size == 0 ? 0 : x.numel() / size,
          .size = size,
          .eps = static_cast<float>(eps),
          .weight_offset = static_cast<float>(weight_offset)};
}

/// Strides of x when its last dimension is dense; a contiguous copy otherwise.
at::Tensor with_dense_rows(const at::Tensor& x) { return x.stride(-1) == 1 ? x : x.contiguous(); }

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    double weight_offset) {
  const at::Tensor dense = x.contiguous();
  const at::Tensor scale = weight.contiguous();
  at::Tensor y = at::empty_like(dense);
  kernels::rms_norm(ir::to_dtype(x.scalar_type()), norm_shape(x, weight, eps, weight_offset),
                    dense.const_data_ptr(), scale.const_data_ptr(), y.mutable_data_ptr());
  return y;
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& a, const at::Tensor& b,
                                               const at::Tensor& weight, double eps,
                                               double weight_offset) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) {
    at::Tensor sum = at::add(a, b);
    at::Tensor y = rms_norm(sum, weight, eps, weight_offset);
    return {std::move(sum), std::move(y)};
  }
  const at::Tensor dense_a = a.contiguous();
  const at::Tensor dense_b = b.contiguous();
  const at::Tensor scale = weight.contiguous();
  at::Tensor sum = at::empty_like(dense_a);
  at::Tensor y = at::empty_like(dense_a);
  kernels::add_rms_norm(ir::to_dtype(a.scalar_type()), norm_shape(a, weight, eps, weight_offset),
                        dense_a.const_data_ptr(), dense_b.const_data_ptr(), scale.const_data_ptr(),
                        sum.mutable_data_ptr(), y.mutable_data_ptr());
  return {std::move(sum), std::move(y)};
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  if (gate.sizes() != up.sizes() || gate.scalar_type() != up.scalar_type())
    return at::mul(at::silu(gate), up);
  const at::Tensor dense_gate = gate.contiguous();
  const at::Tensor dense_up = up.contiguous();
  at::Tensor y = at::empty_like(dense_gate);
  kernels::swiglu(ir::to_dtype(gate.scalar_type()), gate.numel(), dense_gate.const_data_ptr(),
                  dense_up.const_data_ptr(), y.mutable_data_ptr());
  return y;
}

at::Tensor rotary_embedding(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK(x.dim() == 4 && cos.dim() == 3 && cos.sizes() == sin.sizes() &&
                  cos.size(1) == x.size(2) && cos.size(2) == x.size(3) &&
                  (cos.size(0) == 1 || cos.size(0) == x.size(0)) && x.size(3) % 2 == 0,
              "rotary_embedding: x is ", x.sizes(), ", cos is ", cos.sizes(), ", sin is ",
              sin.sizes());
  TORCH_CHECK(x.scalar_type() == cos.scalar_type() && x.scalar_type() == sin.scalar_type(),
              "rotary_embedding: x is ", x.scalar_type(), ", cos is ", cos.scalar_type());
  const at::Tensor rows = with_dense_rows(x);
  const at::Tensor dense_cos = cos.contiguous();
  const at::Tensor dense_sin = sin.contiguous();
  at::Tensor y = at::empty(x.sizes(), x.options());
  const kernels::Rotary shape{.batch = x.size(0),
                              .heads = x.size(1),
                              .tokens = x.size(2),
                              .size = x.size(3),
                              .batch_stride = rows.stride(0),
                              .head_stride = rows.stride(1),
                              .token_stride = rows.stride(2),
                              .table_batch_stride = cos.size(0) == 1 ? 0 : x.size(2) * x.size(3)};
  kernels::rotary_embedding(ir::to_dtype(x.scalar_type()), shape, rows.const_data_ptr(),
                            dense_cos.const_data_ptr(), dense_sin.const_data_ptr(),
                            y.mutable_data_ptr());
  return y;
}

at::Tensor position_ids(const at::Tensor& ids) {
  return at::arange(ids.size(-1), ids.options().dtype(at::kLong)).unsqueeze(0);
}

std::pair<at::Tensor, at::Tensor> rotary_table(const at::Tensor& inv_freq,
                                               const at::Tensor& position_ids, double scaling,
                                               at::ScalarType dtype) {
  const at::Tensor positions = position_ids.to(at::kFloat).unsqueeze(-1);
  const at::Tensor half = at::mul(positions, inv_freq);
  const at::Tensor angles = at::cat({half, half}, -1);
  return {at::mul(angles.cos(), scaling).to(dtype), at::mul(angles.sin(), scaling).to(dtype)};
}

namespace {

// Boxed forms, as the schemas below declare them.
std::tuple<at::Tensor, at::Tensor> add_rms_norm_op(const at::Tensor& a, const at::Tensor& b,
                                                   const at::Tensor& weight, double eps,
                                                   double weight_offset) {
  return add_rms_norm(a, b, weight, eps, weight_offset);
}

at::Tensor attention_op(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        const std::optional<at::Tensor>& padding_mask, bool causal,
                        std::optional<double> scale, std::optional<int64_t> sliding_window,
                        std::optional<double> softcap, const std::optional<at::Tensor>& sinks,
                        const std::optional<at::Tensor>& bias) {
  return attention_with_options(query, key, value, padding_mask, causal, scale, sliding_window,
                                {.softcap = softcap, .sinks = sinks, .bias = bias});
}

at::Tensor attention_probabilities_op(const at::Tensor& query, const at::Tensor& key,
                                      const std::optional<at::Tensor>& padding_mask, bool causal,
                                      std::optional<double> scale,
                                      std::optional<int64_t> sliding_window,
                                      std::optional<double> softcap,
                                      const std::optional<at::Tensor>& sinks,
                                      const std::optional<at::Tensor>& bias) {
  return attention_probabilities(query, key, padding_mask, causal, scale, sliding_window,
                                 {.softcap = softcap, .sinks = sinks, .bias = bias});
}

void define_operators(torch::Library& library) {
  library.def("rms_norm(Tensor x, Tensor weight, float eps, float weight_offset=0.0) -> Tensor",
              &rms_norm);
  library.def(
      "add_rms_norm(Tensor a, Tensor b, Tensor weight, float eps, float weight_offset=0.0) -> "
      "(Tensor, Tensor)",
      &add_rms_norm_op);
  library.def("swiglu(Tensor gate, Tensor up) -> Tensor", &swiglu);
  library.def("rotary_embedding(Tensor x, Tensor cos, Tensor sin) -> Tensor", &rotary_embedding);
  library.def("position_ids(Tensor ids) -> Tensor", &position_ids);
  library.def(
      "attention(Tensor query, Tensor key, Tensor value, Tensor? padding_mask=None, bool "
      "causal=True, "
      "float? scale=None, int? sliding_window=None, float? softcap=None, Tensor? sinks=None, "
      "Tensor? bias=None) -> Tensor",
      &attention_op);
  library.def(
      "attention_probabilities(Tensor query, Tensor key, Tensor? padding_mask=None, bool "
      "causal=True, float? scale=None, int? sliding_window=None, float? softcap=None, Tensor? "
      "sinks=None, Tensor? bias=None) -> Tensor",
      &attention_probabilities_op);
  library.def("attention_values(Tensor probabilities, Tensor value) -> Tensor", &attention_values);
  library.def(
      "sdpa_probabilities(Tensor query, Tensor key, Tensor? attn_mask=None, float dropout_p=0.0, "
      "bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
      &sdpa_probabilities);
  define_architecture_operators(library);
}

}  // namespace

void register_operators() {
  static const std::unique_ptr<torch::Library> library = [] {
    auto made = std::make_unique<torch::Library>(torch::Library::DEF, "lathe", std::nullopt,
                                                 __FILE__, __LINE__);
    define_operators(*made);
    return made;
  }();
  register_decomposed_operators();
}

}  // namespace lathe::ops
