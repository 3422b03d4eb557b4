#include "api/trace_inputs.h"

namespace lathe::api {
namespace {

using Inputs = trace::UnitFlow::Inputs;

constexpr int64_t kBatch = 2;
constexpr int64_t kTokens = 8;

/// As the program was exported; sizes that it leaves open become small ones.
Inputs exported_inputs(const std::vector<frontends::ProgramInput>& program_inputs) {
  Inputs inputs;
  for (const auto& [name, dtype, sizes] : program_inputs) {
    std::vector<int64_t> shape;
    for (const auto& size : sizes) shape.push_back(size.value_or(kTokens));
    inputs[name] = trace::ShapeRun::empty(shape, dtype);
  }
  return inputs;
}

int64_t config_number(const nlohmann::ordered_json& config, const char* name, int64_t otherwise) {
  const auto found = config.find(name);
  return found != config.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

at::Tensor empty_input(const std::string& name, const ir::Model& model) {
  if (name == "pixel_values") {
    const int64_t size = config_number(model.config, "image_size", 224);
    const int64_t channels = config_number(model.config, "num_channels", 3);
    return trace::ShapeRun::empty({kBatch, channels, size, size}, model.dtype);
  }
  if (name == "input_features") {
    const int64_t bins = config_number(model.config, "num_mel_bins", 80);
    const int64_t frames = 2 * config_number(model.config, "max_source_positions", 1500);
    return trace::ShapeRun::empty({kBatch, bins, frames}, model.dtype);
  }
  return trace::ShapeRun::empty({kBatch, kTokens}, at::kLong);
}

}  // namespace

Inputs trace_inputs(const Model::Impl& model) {
  if (!model.model.has_graph()) return {};
  if (!model.program_inputs.empty()) return exported_inputs(model.program_inputs);
  Inputs inputs;
  for (const auto& [name, required] : ops::model_inputs(model.root())) {
    if (required) inputs[name] = empty_input(name, model.model);
  }
  return inputs;
}

}  // namespace lathe::api
