#include "lathe/quantize.h"

#include <fmt/ranges.h>

#include <functional>
#include <map>
#include <numeric>
#include <ostream>

#include "api/folded_weights.h"
#include "api/prepare.h"
#include "api/source_scales.h"
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

/// Rewrites a copy of the model's tree; unless it is kept, the model is what it was before.
class Rewrite {
 public:
  explicit Rewrite(Model::Impl& model) : model_(model), original_(model.model.root) {
    model_.model.root = ir::clone_tree(*original_);
  }
  ~Rewrite() {
    if (!original_) return;
    model_.model.root = original_;
    model_.quantization.reset();
    model_.interpreter.forget();
  }
  Rewrite(const Rewrite&) = delete;
  Rewrite& operator=(const Rewrite&) = delete;

  void keep() { original_.reset(); }

 private:
  Model::Impl& model_;
  ir::ModulePtr original_;
};

/// How many values the amax of a quantizer has; `weight` is null for that of activations.
size_t amax_count(const quantization::TensorQuantizer& quantizer, const ir::Parameter* weight) {
  const formats::BlockShape block = quantizer.format().amax_block();
  if (block == formats::kPerTensor || weight == nullptr) return 1;
  const std::vector<int64_t>& shape = weight->shape();
  const int64_t rows = shape.at(0);
  const int64_t cols =
      std::accumulate(shape.begin() + 1, shape.end(), int64_t{1}, std::multiplies());
  const formats::GridShape grid = formats::grid_shape(block, rows, cols);
  return static_cast<size_t>(grid.rows * grid.cols);
}

struct AmaxHolder {
  quantization::TensorQuantizer* quantizer;
  const ir::Parameter* weight;  // null for activations
};

std::map<std::string, AmaxHolder> amax_holders(const quantization::Conversion& conversion) {
  std::map<std::string, AmaxHolder> holders;
  for (quantization::TensorQuantizer* quantizer : conversion.quantizers())
    holders[quantizer->name()] = {quantizer, nullptr};
  for (const quantization::QuantizedLayer& layer : conversion.layers)
    holders[layer.weight->name()].weight = layer.parameter().get();
  return holders;
}

void set_amax(const AmaxHolder& holder, const Tensor& tensor) {
  quantization::TensorQuantizer& quantizer = *holder.quantizer;
  if (!quantizer.enabled()) throw_user("{} is disabled: it takes no amax", quantizer.name());
  const size_t count = amax_count(quantizer, holder.weight);
  if (static_cast<size_t>(tensor.numel()) != count) {
    throw_user("{}: the amax has {} values, {} needs {}", quantizer.name(), tensor.numel(),
               quantizer.describe(), count);
  }
  const at::Tensor values = api::to_torch(tensor).to(at::kFloat).contiguous();
  quantizer.set_amax(
      {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()});
}

}  // namespace

void quantize(Model& model, const QuantizeConfig& config, const ForwardLoop& forward_loop,
              const QuantizeOptions& options) {
  api::refuse_quantized(model.impl());
  Rewrite rewrite(model.impl());
  std::vector<std::string> problems;
  api::prepare(model.impl(), config, options, problems);
  api::refuse_problems(problems);
  api::keep_source_scales(model.impl());
  for (const std::string& warning : model.impl().quantization->warnings)
    spdlog::warn("{}", warning);
  calibrate(model, config.algorithm(), forward_loop);
  rewrite.keep();
}

void calibrate(Model& model, std::string_view algorithm, const ForwardLoop& forward_loop) {
  Quantization& quantization = require_quantization(model);
  const std::string problem = api::algorithm_problem(algorithm, quantization.conversion);
  if (!problem.empty()) throw_user("{}: {}", quantization.config_name, problem);
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
  const std::map<std::string, AmaxHolder> holders = amax_holders(quantization.conversion);
  for (const auto& [name, tensor] : amax_by_name) {
    const auto found = holders.find(name);
    if (found == holders.end()) throw_user("{}: there is no quantizer {}", model.path(), name);
    set_amax(found->second, tensor);
  }
  for (const auto& group : quantization.conversion.groups) {
    finish_group(quantization.conversion, group, quantization.options);
  }
  for (const auto& experts : quantization.conversion.expert_inputs)
    finish_inputs(quantization.conversion, experts);
  for (const auto& attention : quantization.conversion.attentions) finish_attention(attention);
}

void fold_weight(Model& model) {
  Quantization& quantization = require_quantization(model);
  for (const quantization::QuantizedLayer& layer : quantization.conversion.layers) {
    if (!layer.weight->enabled()) continue;
    auto folded = std::make_shared<ir::Parameter>(api::fake_quantized_weight(layer));
    layer.module->parameters.set("weight", std::move(folded));
    layer.weight->set_enabled(false);
    layer.weight->forget_rotation();
  }
  model.impl().folded = true;
}

}  // namespace lathe
