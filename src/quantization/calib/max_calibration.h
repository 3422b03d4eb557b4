#pragma once

#include <functional>
#include <string>
#include <vector>

#include "quantization/conversion.h"
#include "quantization/scale_groups.h"

namespace lathe::quantization {

/// Max calibration of a part of the model: amax of weights from the weights, amax of activations
/// from what goes through the quantizers between begin and end.
///
///   MaxCalibration calibration(conversion, groups);
///   calibration.begin();             // weights pass unchanged, quantizers of activations gather
///   ... run the part on all data ...
///   calibration.finish(options);     // weights are read once; scales are final; quantizers
///   quantize again
class MaxCalibration {
 public:
  /// The groups (indices into conversion.groups) and attentions (indices) that are calibrated
  /// together.
  MaxCalibration(const Conversion& conversion, std::vector<size_t> groups,
                 std::vector<size_t> attentions);

  /// Whether any of them must see activations.
  bool needs_activations() const;

  void begin();
  void finish(const ScaleOptions& options);

 private:
  void finish_experts() const;

  void for_each_activation_quantizer(const std::function<void(TensorQuantizer&)>& visit) const;

  const Conversion& conversion_;
  std::vector<size_t> groups_;
  std::vector<size_t> attentions_;
};

/// Names of enabled quantizers that needed activations and saw none.
std::vector<std::string> unseen_quantizers(const Conversion& conversion);

}  // namespace lathe::quantization
