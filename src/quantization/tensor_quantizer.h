#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formats/scale.h"
#include "ir/module.h"
#include "quantization/affine_bias.h"
#include "quantization/quantizer_format.h"

namespace lathe::quantization {

/// The state of a TensorQuantizer module: rounds the tensor that goes through it to the values that
/// its format has.
///
/// amax is gathered (observe), merged with that of its group (merge_amax), and made into scales
/// once (finish). From then on fake quantization, packing and unpacking use these scales; nothing
/// changes them but a new calibration.
class TensorQuantizer : public ir::ModuleState {
 public:
  using Stages = std::shared_ptr<const std::vector<QuantizerAttributes>>;

  enum class Mode {
    kQuantize,  // y = Q(x)
    kObserve,   // y = x, and amax is gathered
    kBypass,    // y = x
    kFolded,    // the tensor is quantized (and rotated) already
  };

  /// The scales of a weight are those of the tensor at hand whenever they are computed.
  enum class Role { kActivation, kWeight };

  /// `name`: the full dotted name. An enabled quantizer must have attributes that are supported
  /// (UserError).
  TensorQuantizer(std::string name, bool enabled, Stages stages, Role role = Role::kActivation);

  const std::string& name() const { return name_; }
  bool enabled() const { return enabled_; }
  void set_enabled(bool enabled);
  void set_mode(Mode mode) { mode_ = mode; }
  /// What it does when it is enabled.
  const QuantizerFormat& format() const;
  std::string describe() const override;

  /// What the module does: by mode, if it is enabled. A quantizer that needs an amax and has none
  /// takes that of x. A rotation is done by a quantizer that is off as well, in all modes but
  /// kFolded. DataError if numbers are unsigned and x has negative ones.
  at::Tensor forward(const at::Tensor& input);

  /// amax := max(amax, that of x). DataError that names the quantizer if x holds NaN or infinities.
  void observe(const at::Tensor& x);

  bool has_amax() const { return !amax_.empty(); }
  /// By block, row-major, as formats::grid_shape(format().amax_block(), rows, cols).
  const std::vector<float>& amax() const { return amax_; }
  void set_amax(std::vector<float> amax);
  /// amax := max of both, cell by cell; they must have the same shape.
  void merge_amax(const std::vector<float>& other);
  void reset();

  /// amax becomes scales. Without an amax (nothing was seen) they are made at each call from the
  /// tensor at hand.
  void finish() { finish(amax_); }
  /// The same with the amax of a group, of the same shape; the quantizer's own stays what it saw.
  void finish(const std::vector<float>& group_amax);
  /// The same for a format with a scale of the whole tensor beside static block scales: the blocks'
  /// scales are made of the quantizer's own amax, that of the tensor of `tensor_amax`.
  void finish_with_tensor_amax(float tensor_amax);
  bool has_scales() const { return has_scales_; }
  /// Static formats: a scale a block. NVFP4: global_scale alone.
  const formats::Scales& scales() const { return scales_; }
  /// Scales that are not made from amax here; they hold until amax changes.
  void set_scales(formats::Scales scales);

  /// Scales that a quantized source has already: calibration leaves them alone, and finish() reads
  /// them.
  void keep_scales(std::function<formats::Scales()> read);
  bool keeps_scales() const { return kept_ != nullptr; }
  /// Whether a calibration must look at the tensor: it is enabled, and its scales come from an
  /// amax.
  bool needs_data() const { return enabled_ && format_->needs_data() && !keeps_scales(); }

  /// Whether each scale follows from the amax of its own rows alone, and none is set.
  bool has_local_scales() const;

  /// What a checkpoint says: the quantizer is on, with this format and these scales (none: made at
  /// each call).
  void restore(const QuantizerFormat& format, std::optional<formats::Scales> scales);

  /// Scales by channel are those of this dimension: 0 for a convolution's weight, 1 for a
  /// transposed one's. Without it [.., K] is a matrix of rows of K.
  void set_channel_axis(int64_t axis) { channel_axis_ = axis; }
  std::optional<int64_t> channel_axis() const { return channel_axis_; }

  /// Static scales of a whole tensor: codes are those of x * (1 / scale), as
  /// quantized_decomposed::quantize_per_tensor rounds them, and not of x / scale.
  void multiply_by_reciprocal() { by_reciprocal_ = true; }

  /// Makes scales at each call, where they would have been calibrated.
  void leave_uncalibrated();
  /// NVFP4 whose blocks are scaled to another largest value: see formats::Format::scale_bound.
  void set_scale_bound(float bound);

  /// Of affine quantization: b of y = Q(x - b) + b, float32, over the axes that are kept; undefined
  /// before any data was seen.
  const at::Tensor& bias() const { return bias_.value(); }
  void set_bias(at::Tensor bias) { bias_.set_value(std::move(bias)); }

  const Rotation& rotation() const { return rotation_; }
  /// The tensor is rotated already, for good.
  void forget_rotation() { rotation_ = {}; }

  /// x is multiplied by this [K] first, also by a quantizer that is off (AWQ, SmoothQuant).
  void set_pre_quant_scale(at::Tensor scale) { pre_quant_scale_ = std::move(scale); }
  const at::Tensor& pre_quant_scale() const { return pre_quant_scale_; }

 private:
  at::Tensor quantize(const at::Tensor& x) const;
  at::Tensor quantize_by_reciprocal(const at::Tensor& x, float scale) const;
  at::Tensor quantize_around_bias(const at::Tensor& x) const;
  at::Tensor round(const at::Tensor& x) const;
  void check_sign(const at::Tensor& x) const;
  formats::Scales scales_for(const std::vector<float>& amax) const;

  std::string name_;
  bool enabled_;
  Mode mode_ = Mode::kQuantize;
  Stages stages_;
  std::optional<QuantizerFormat> format_;
  std::vector<float> amax_;
  formats::Scales scales_;
  bool has_scales_ = false;
  std::function<formats::Scales()> kept_;
  at::Tensor pre_quant_scale_;
  std::optional<int64_t> channel_axis_;
  bool by_reciprocal_ = false;
  Role role_;
  Rotation rotation_;
  AffineBias bias_;
};

/// The quantizer of a TensorQuantizer module.
TensorQuantizer& quantizer_of(const ir::Module& module);

}  // namespace lathe::quantization
