#include "quantization/tensor_quantizer.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/mul.h>

#include <algorithm>

#include "base/error.h"
#include "kernels/kernels.h"
#include "quantization/rotation.h"
#include "quantization/tensor_matrix.h"

namespace lathe::quantization {
namespace {

std::vector<float> amax_of(const at::Tensor& x, formats::BlockShape block,
                           const std::string& name) {
  const kernels::MatrixView matrix = matrix_view(x, name);
  std::vector<float> grid(formats::grid_shape(block, matrix.rows, matrix.cols).size());
  const kernels::AmaxResult result = kernels::amax(matrix, block, grid);
  if (result.nonfinite > 0) {
    throw_data("{}: {} of {} values are NaN or infinite", name, result.nonfinite, x.numel());
  }
  return grid;
}

}  // namespace

TensorQuantizer::TensorQuantizer(std::string name, bool enabled, Stages stages, Role role)
    : name_(std::move(name)), enabled_(false), stages_(std::move(stages)), role_(role) {
  if (stages_ != nullptr && !stages_->empty()) rotation_ = stages_->front().rotate;
  set_enabled(enabled);
}

void TensorQuantizer::set_enabled(bool enabled) {
  if (enabled && !format_) {
    check_internal(stages_ != nullptr, "{} has no attributes", name_);
    format_ = quantizer_format(std::span(*stages_), name_);
    const bool blocks = format_->format.scale != formats::ScaleKind::kFloat32;
    if (role_ == Role::kWeight) format_->dynamic = blocks;
    if (format_->constant_amax && format_->uses_amax()) {
      set_amax({*format_->constant_amax});
      finish();
    }
  }
  enabled_ = enabled;
}

const QuantizerFormat& TensorQuantizer::format() const {
  check_internal(format_.has_value(), "{} was never enabled", name_);
  return *format_;
}

std::string TensorQuantizer::describe() const {
  if (!enabled_) return "disabled";
  if (!stages_) return formats::format_name(format_->format);
  return quantization::describe(std::span(*stages_));
}

at::Tensor TensorQuantizer::forward(const at::Tensor& input) {
  // Without .to, a float32 scale would make bfloat16 activations float32.
  at::Tensor x =
      pre_quant_scale_.defined() ? at::mul(input, pre_quant_scale_).to(input.scalar_type()) : input;
  if (mode_ == Mode::kFolded || x.numel() == 0) return x;
  if (rotation_.enable) {
    if (rotation_.rotate_back && !enabled_) return x;
    x = rotate(x, rotation_, name_);
  }
  if (mode_ == Mode::kObserve && enabled_) observe(x);
  const bool rounds = enabled_ && mode_ == Mode::kQuantize;
  at::Tensor y = rounds ? quantize(x) : x;
  return rotation_.enable && rotation_.rotate_back ? rotate(y, rotation_, name_) : y;
}

void TensorQuantizer::observe(const at::Tensor& x) {
  if (keeps_scales()) return;
  check_sign(x);
  if (format_->bias && !format_->bias->dynamic) {
    amax_of(x.contiguous(), formats::kPerTensor, name_);  // finds what is not finite
    bias_.observe(x, *format_->bias);
    if (format_->needs_amax()) amax_ = {bias_.amax()};
    has_scales_ = false;
    return;
  }
  if (!format_->needs_amax()) return;
  const at::Tensor seen_values = format_->bias ? centered(x, *format_->bias) : x;
  const at::Tensor dense = to_channel_rows(seen_values, channel_axis_);
  std::vector<float> seen = amax_of(dense, format_->amax_block(), name_);
  if (has_amax()) {
    merge_amax(seen);
  } else {
    amax_ = std::move(seen);
  }
  has_scales_ = false;
}

void TensorQuantizer::set_amax(std::vector<float> amax) {
  amax_ = std::move(amax);
  has_scales_ = false;
}

void TensorQuantizer::merge_amax(const std::vector<float>& other) {
  check_internal(other.size() == amax_.size(), "{}: amax has {} values, another {}", name_,
                 amax_.size(), other.size());
  std::transform(amax_.begin(), amax_.end(), other.begin(), amax_.begin(),
                 [](float a, float b) { return std::max(a, b); });
  has_scales_ = false;
}

void TensorQuantizer::reset() {
  bias_.reset();
  if (format_ && format_->constant_amax) return;
  amax_.clear();
  scales_ = {};
  has_scales_ = false;
}

void TensorQuantizer::finish(const std::vector<float>& group_amax) {
  if (keeps_scales()) return set_scales(kept_());
  if (group_amax.empty()) return;
  scales_ = scales_for(group_amax);
  has_scales_ = true;
}

void TensorQuantizer::finish_with_tensor_amax(float tensor_amax) {
  if (amax_.empty()) return;
  scales_ = formats::scales_from_amax(
      format_->format, amax_, formats::global_scale_from_amax(format_->format, tensor_amax));
  has_scales_ = true;
}

void TensorQuantizer::leave_uncalibrated() {
  check_internal(format_.has_value(), "{} was never enabled", name_);
  format_->uncalibrated = true;
  if (format_->format.scale == formats::ScaleKind::kFloat32) format_->dynamic = true;
}

void TensorQuantizer::set_scale_bound(float bound) {
  check_internal(format_.has_value(), "{} was never enabled", name_);
  format_->format.scale_bound = bound;
  has_scales_ = false;
}

void TensorQuantizer::set_scales(formats::Scales scales) {
  scales_ = std::move(scales);
  has_scales_ = true;
}

void TensorQuantizer::keep_scales(std::function<formats::Scales()> read) {
  reset();
  kept_ = std::move(read);
}

bool TensorQuantizer::has_local_scales() const {
  const formats::Format& format = format_->format;
  return !format.has_global_scale() && format.scale == formats::ScaleKind::kFloat32 &&
         format.block.rows > 0 && !has_scales_ && !keeps_scales() && !format_->constant_amax;
}

void TensorQuantizer::restore(const QuantizerFormat& format,
                              std::optional<formats::Scales> scales) {
  format_ = format;
  stages_ = nullptr;
  rotation_ = format.rotate;
  enabled_ = true;
  reset();
  if (scales) set_scales(std::move(*scales));
}

formats::Scales TensorQuantizer::scales_for(const std::vector<float>& amax) const {
  const formats::Format& format = format_->format;
  if (format.scale == formats::ScaleKind::kFloat32) {
    const float tensor_amax = *std::max_element(amax.begin(), amax.end());
    return formats::scales_from_amax(format, amax,
                                     formats::global_scale_from_amax(format, tensor_amax));
  }
  return formats::Scales::make(format.scale, 0,
                               formats::global_scale_from_amax(format, amax.at(0)));
}

void TensorQuantizer::check_sign(const at::Tensor& x) const {
  if (!format_->format.element.is_unsigned) return;
  const double least = x.min().item<double>();
  if (least >= 0) return;
  throw_data("{}: a value of {:.6g}, but its numbers are unsigned ({})", name_, least, describe());
}

at::Tensor TensorQuantizer::quantize(const at::Tensor& x) const {
  check_sign(x);
  return format_->bias ? quantize_around_bias(x) : round(x);
}

at::Tensor TensorQuantizer::quantize_around_bias(const at::Tensor& x) const {
  const bool known = !format_->bias->dynamic && bias_.value().defined();
  const at::Tensor bias = known ? bias_.value() : bias_of(x, *format_->bias);
  return round(x.to(at::kFloat).sub(bias)).add(bias).to(x.scalar_type());
}

at::Tensor TensorQuantizer::round(const at::Tensor& x) const {
  const at::Tensor dense = to_channel_rows(x, channel_axis_);
  at::Tensor y = at::empty_like(dense);
  const kernels::MatrixView from = matrix_view(dense, name_);
  const kernels::MutableMatrixView to = mutable_matrix_view(y, name_);
  const bool own_scales = format_->uses_amax() && !has_scales_;
  const formats::Scales scales =
      own_scales ? scales_for(amax_of(dense, format_->amax_block(), name_)) : formats::Scales();
  const formats::Scales& used = own_scales ? scales : scales_;
  if (by_reciprocal_ && used.values.size() == 1) return quantize_by_reciprocal(x, used.values[0]);
  // Block scales that are known (of a quantized source) are used as they are.
  if (format_->dynamic && used.codes.empty()) {
    kernels::fake_quantize_dynamic(format_->format, from, used.global_scale, to);
  } else {
    kernels::fake_quantize(format_->format, from, used.view(), to);
  }
  return from_channel_rows(y, x.sizes(), channel_axis_);
}

at::Tensor TensorQuantizer::quantize_by_reciprocal(const at::Tensor& x, float scale) const {
  const double reciprocal = 1.0 / static_cast<double>(scale);
  at::Tensor y = at::mul(x.to(at::kFloat), reciprocal).contiguous();
  formats::Scales unit = formats::Scales::make(formats::ScaleKind::kFloat32, 1);
  unit.values[0] = 1.0f;
  kernels::fake_quantize(format_->format, matrix_view(y, name_), unit.view(),
                         mutable_matrix_view(y, name_));
  return y.mul_(static_cast<double>(scale)).to(x.scalar_type());
}

TensorQuantizer& quantizer_of(const ir::Module& module) {
  auto* quantizer = dynamic_cast<TensorQuantizer*>(module.state.get());
  check_internal(quantizer != nullptr, "{} is not a TensorQuantizer", module.type);
  return *quantizer;
}

}  // namespace lathe::quantization
