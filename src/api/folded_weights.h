#pragma once

#include <vector>

#include "quantization/conversion.h"

namespace lathe::api {

/// The fake-quantized value of a layer's weight: what its packed form unpacks to.
at::Tensor fake_quantized_weight(const quantization::QuantizedLayer& layer);

/// ||W - Q(W)|| / ||W||
double relative_error(const quantization::QuantizedLayer& layer);

/// While it lives, the quantized weights of some layers are their fake-quantized values, computed
/// once, and their quantizers are passed by.
class FoldedWeights {
 public:
  FoldedWeights(const std::vector<const quantization::QuantizedLayer*>& layers);
  ~FoldedWeights();
  FoldedWeights(const FoldedWeights&) = delete;
  FoldedWeights& operator=(const FoldedWeights&) = delete;

 private:
  struct Kept {
    const quantization::QuantizedLayer* layer;
    ir::ParameterPtr original;
  };
  std::vector<Kept> kept_;
};

/// Layers below a module's path (or that are the module), in order.
std::vector<const quantization::QuantizedLayer*> layers_below(
    const quantization::Conversion& conversion, const std::vector<std::string>& module_paths);

}  // namespace lathe::api
