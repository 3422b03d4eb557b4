#include "lathe/quantize.h"

#include <fmt/ranges.h>

#include <ostream>

#include "api/folded_weights.h"
#include "api/prepare.h"
#include "api/tensor_bridge.h"
#include "base/error.h"
#include "base/log.h"
#include "quantization/config/name_pattern.h"
#include "quantization/summary.h"

namespace lathe {
namespace {

Quantization& require_quantization(const Model& model) {
  std::optional<Quantization>& quantization = model.impl().quantization;
  if (!quantization)
    throw_user("{}: the model has no quantizers; call quantize() first", model.path());
  return *quantization;
}

int64_t switch_quantizers(Model& model, std::string_view wildcard, bool enabled) {
  const quantization::NamePattern pattern(wildcard);
  int64_t count = 0;
  for (quantization::TensorQuantizer* quantizer :
       require_quantization(model).conversion.quantizers()) {
    if (!pattern.matches(quantizer->name())) continue;
    quantizer->set_enabled(enabled);
    ++count;
  }
  return count;
}

void warn_unseen(const quantization::Conversion& conversion) {
  const std::vector<std::string> unseen = unseen_quantizers(conversion);
  if (unseen.empty()) return;
  spdlog::warn("{} quantizers saw no data and will take each tensor's own amax, {} first",
               unseen.size(), unseen[0]);
}

}  // namespace

void quantize(Model& model, const QuantizeConfig& config, const ForwardLoop& forward_loop,
              const QuantizeOptions& options) {
  std::vector<std::string> problems;
  api::prepare(model.impl(), config, options, problems);
  if (!problems.empty()) model.impl().quantization.reset();
  api::refuse_problems(problems);
  for (const std::string& warning : model.impl().quantization->warnings)
    spdlog::warn("{}", warning);
  calibrate(model, config.algorithm(), forward_loop);
}

void calibrate(Model& model, std::string_view algorithm, const ForwardLoop& forward_loop) {
  if (!api::is_known_algorithm(algorithm)) {
    throw_user("the algorithm \"{}\" is not supported; \"max\" and \"none\" are", algorithm);
  }
  Quantization& quantization = require_quantization(model);
  quantization::MaxCalibration calibration = api::whole_calibration(quantization.conversion);
  if (calibration.needs_activations() && !forward_loop) {
    throw_user(
        "{}: {} needs activations: give a forward loop that runs the model on calibration data",
        model.path(), quantization.config_name);
  }
  calibration.begin();
  if (forward_loop) forward_loop(model);
  calibration.finish(quantization.options);
  warn_unseen(quantization.conversion);
}

int64_t enable_quantizers(Model& model, std::string_view wildcard) {
  return switch_quantizers(model, wildcard, true);
}
int64_t disable_quantizers(Model& model, std::string_view wildcard) {
  return switch_quantizers(model, wildcard, false);
}

std::vector<QuantizerInfo> quantizers(const Model& model) {
  std::vector<QuantizerInfo> result;
  for (const quantization::TensorQuantizer* quantizer :
       require_quantization(model).conversion.quantizers()) {
    result.push_back(
        {quantizer->name(), quantizer->enabled(), quantizer->describe(), quantizer->amax()});
  }
  return result;
}

void print_quant_summary(const Model& model, std::ostream& out) {
  out << quantization::summary(require_quantization(model).conversion);
}

void load_amax(Model& model, const NamedTensors& amax_by_name) {
  Quantization& quantization = require_quantization(model);
  std::map<std::string, quantization::TensorQuantizer*> by_name;
  for (quantization::TensorQuantizer* quantizer : quantization.conversion.quantizers()) {
    by_name[quantizer->name()] = quantizer;
  }
  for (const auto& [name, tensor] : amax_by_name) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) throw_user("{}: there is no quantizer {}", model.path(), name);
    const at::Tensor values = api::to_torch(tensor).to(at::kFloat).contiguous();
    found->second->set_amax(
        {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()});
  }
  for (const auto& group : quantization.conversion.groups) {
    finish_group(quantization.conversion, group, quantization.options);
  }
  for (const auto& attention : quantization.conversion.attentions) finish_attention(attention);
}

void fold_weight(Model& model) {
  Quantization& quantization = require_quantization(model);
  for (const quantization::QuantizedLayer& layer : quantization.conversion.layers) {
    if (!layer.weight->enabled()) continue;
    auto folded = std::make_shared<ir::Parameter>(api::fake_quantized_weight(layer));
    layer.module->parameters.set("weight", std::move(folded));
    layer.weight->set_enabled(false);
  }
  model.impl().folded = true;
}

}  // namespace lathe
