#include "api/folded_weights.h"

#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/sub.h>

#include "base/error.h"

namespace lathe::api {

using quantization::QuantizedLayer;
using quantization::TensorQuantizer;

at::Tensor fake_quantized_weight(const QuantizedLayer& layer) {
  return layer.weight->forward(layer.parameter()->tensor());
}

double relative_error(const QuantizedLayer& layer) {
  const at::Tensor weight = layer.parameter()->tensor().to(at::kFloat);
  const at::Tensor rounded = fake_quantized_weight(layer).to(at::kFloat);
  const double norm = at::linalg_vector_norm(weight).item<double>();
  return norm == 0 ? 0 : at::linalg_vector_norm(at::sub(weight, rounded)).item<double>() / norm;
}

FoldedWeights::FoldedWeights(const std::vector<const QuantizedLayer*>& layers) {
  for (const QuantizedLayer* layer : layers) {
    if (!layer->weight->enabled()) continue;
    const ir::ParameterPtr original = layer->parameter();
    at::Tensor folded = fake_quantized_weight(*layer);
    original->release();
    layer->module->parameters.set("weight", std::make_shared<ir::Parameter>(std::move(folded)));
    layer->weight->set_mode(TensorQuantizer::Mode::kFolded);
    kept_.push_back({layer, original});
  }
}

FoldedWeights::~FoldedWeights() {
  for (const Kept& kept : kept_) {
    kept.layer->module->parameters.set("weight", kept.original);
    kept.layer->weight->set_mode(TensorQuantizer::Mode::kQuantize);
  }
}

std::vector<const QuantizedLayer*> layers_below(const quantization::Conversion& conversion,
                                                const std::vector<std::string>& module_paths) {
  std::vector<const QuantizedLayer*> found;
  for (const QuantizedLayer& layer : conversion.layers) {
    for (const std::string& path : module_paths) {
      const bool below =
          layer.path == path || (layer.path.starts_with(path) && layer.path[path.size()] == '.');
      if (!below) continue;
      found.push_back(&layer);
      break;
    }
  }
  return found;
}

}  // namespace lathe::api
