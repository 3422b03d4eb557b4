#include "quantization/calib/max_calibration.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"

namespace lathe::quantization {
namespace {

/// amax of a weight that was not calibrated yet. DataError that names the tensor if it holds NaN.
void calibrate_weight(const QuantizedLayer& layer) {
  TensorQuantizer& quantizer = *layer.weight;
  if (!quantizer.needs_data()) return;
  const bool was_loaded = layer.parameter()->is_loaded();
  with_context(layer.path + ".weight", [&] { quantizer.observe(layer.parameter()->tensor()); });
  if (!was_loaded) layer.parameter()->release();
}

}  // namespace

MaxCalibration::MaxCalibration(const Conversion& conversion, std::vector<size_t> groups,
                               std::vector<size_t> attentions)
    : conversion_(conversion), groups_(std::move(groups)), attentions_(std::move(attentions)) {}

void MaxCalibration::for_each_activation_quantizer(
    const std::function<void(TensorQuantizer&)>& visit) const {
  for (size_t group : groups_) {
    for (size_t index : conversion_.groups[group]) {
      const QuantizedLayer& layer = conversion_.layers[index];
      for (TensorQuantizer* quantizer : {layer.input, layer.output}) {
        if (quantizer != nullptr && quantizer->enabled()) visit(*quantizer);
      }
    }
  }
  for (size_t index : attentions_) {
    const QuantizedAttention& attention = conversion_.attentions[index];
    for (TensorQuantizer* quantizer : attention.quantizers()) {
      if (quantizer->enabled()) visit(*quantizer);
    }
  }
}

bool MaxCalibration::needs_activations() const {
  bool needed = false;
  for_each_activation_quantizer(
      [&](TensorQuantizer& quantizer) { needed |= quantizer.needs_data(); });
  return needed;
}

void MaxCalibration::begin() {
  for_each_activation_quantizer([](TensorQuantizer& quantizer) {
    quantizer.reset();
    quantizer.set_mode(TensorQuantizer::Mode::kObserve);
  });
  for (size_t group : groups_) {
    bool leader = true;  // members read the same value: the first gathers for all
    for (size_t index : conversion_.groups[group]) {
      const QuantizedLayer& layer = conversion_.layers[index];
      layer.weight->set_mode(TensorQuantizer::Mode::kBypass);
      const bool observes = layer.input != nullptr && layer.input->needs_data();
      if (!observes) continue;
      if (!leader) layer.input->set_mode(TensorQuantizer::Mode::kBypass);
      leader = false;
    }
  }
}

void MaxCalibration::finish(const ScaleOptions& options) {
  for (size_t group : groups_) {
    for (size_t index : conversion_.groups[group]) {
      const QuantizedLayer& layer = conversion_.layers[index];
      layer.weight->reset();
      calibrate_weight(layer);
      layer.weight->set_mode(TensorQuantizer::Mode::kQuantize);
      for (TensorQuantizer* quantizer : {layer.input, layer.output}) {
        if (quantizer != nullptr) quantizer->set_mode(TensorQuantizer::Mode::kQuantize);
      }
    }
    finish_group(conversion_, conversion_.groups[group], options);
  }
  finish_experts();
  for (size_t index : attentions_) {
    const QuantizedAttention& attention = conversion_.attentions[index];
    for (TensorQuantizer* quantizer : attention.quantizers()) {
      quantizer->set_mode(TensorQuantizer::Mode::kQuantize);
    }
    finish_attention(attention);
  }
}

void MaxCalibration::finish_experts() const {
  std::unordered_set<size_t> own;
  for (size_t group : groups_) {
    own.insert(conversion_.groups[group].begin(), conversion_.groups[group].end());
  }
  for (const std::vector<size_t>& layers : conversion_.expert_inputs) {
    const bool is_own = std::any_of(layers.begin(), layers.end(),
                                    [&](size_t layer) { return own.contains(layer); });
    if (is_own) finish_inputs(conversion_, layers);
  }
  for (const std::vector<size_t>& layers : conversion_.fused) {
    const bool all_own = std::all_of(layers.begin(), layers.end(),
                                     [&](size_t layer) { return own.contains(layer); });
    if (all_own) finish_fused_weights(conversion_, layers);
  }
}

std::vector<std::string> unseen_quantizers(const Conversion& conversion) {
  std::vector<std::string> names;
  for (const TensorQuantizer* quantizer : conversion.quantizers()) {
    if (quantizer->enabled() && quantizer->format().needs_amax() && !quantizer->has_scales()) {
      names.push_back(quantizer->name());
    }
  }
  return names;
}

}  // namespace lathe::quantization
