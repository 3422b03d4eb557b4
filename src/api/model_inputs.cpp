#include "api/model_inputs.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"

namespace lathe::api {
namespace {

constexpr const char* kIds = "input_ids";

std::optional<int64_t> config_number(const ir::Model& model, const char* key) {
  if (!model.config.is_object()) return std::nullopt;
  const auto found = model.config.find(key);
  if (found == model.config.end() || !found->is_number_integer()) return std::nullopt;
  return found->get<int64_t>();
}

/// Height and width, which a config may give as one number.
std::vector<std::optional<int64_t>> image_sizes(const ir::Model& model) {
  if (model.config.is_object() && model.config.contains("image_size")) {
    const auto& size = model.config["image_size"];
    if (size.is_number_integer()) return {size.get<int64_t>(), size.get<int64_t>()};
    if (size.is_array() && size.size() == 2 && size[0].is_number_integer() &&
        size[1].is_number_integer())
      return {size[0].get<int64_t>(), size[1].get<int64_t>()};
  }
  return {224, 224};
}

/// Positions that were learned end; those that are computed do not.
std::optional<int64_t> learned_positions(const ir::Model& model) {
  const std::string& name = model.architecture;
  if (name.starts_with("GPT2")) return config_number(model, "n_positions");
  if (name.starts_with("OPT") || name.starts_with("Bert"))
    return config_number(model, "max_position_embeddings");
  if (!name.starts_with("Roberta")) return std::nullopt;
  const auto positions = config_number(model, "max_position_embeddings");
  if (!positions) return std::nullopt;
  return *positions - config_number(model, "pad_token_id").value_or(1) - 1;
}

ModelInput checkpoint_input(const ir::Model& model, const std::string& name, bool required) {
  if (name == "pixel_values") {
    ModelInput input{name, at::kFloat, {std::nullopt, config_number(model, "num_channels")}};
    if (!input.sizes[1]) input.sizes[1] = 3;
    for (const auto& size : image_sizes(model)) input.sizes.push_back(size);
    input.required = required;
    return input;
  }
  if (name == "input_features") {
    const int64_t frames = 2 * config_number(model, "max_source_positions").value_or(1500);
    return {name,
            at::kFloat,
            {std::nullopt, config_number(model, "num_mel_bins").value_or(80), frames},
            required};
  }
  ModelInput input{name, at::kLong, {std::nullopt, std::nullopt}, required};
  if (name.ends_with(kIds) && model.vocab_size > 0) input.limit = model.vocab_size;
  if (name == "token_type_ids") input.limit = config_number(model, "type_vocab_size").value_or(2);
  input.longest = name.starts_with("decoder_") ? config_number(model, "max_target_positions")
                                               : learned_positions(model);
  return input;
}

}  // namespace

std::vector<ModelInput> model_inputs(const Model::Impl& model) {
  std::vector<ModelInput> inputs;
  if (model.program != nullptr) {
    for (const auto& [name, dtype, sizes] : model.program_inputs)
      inputs.push_back({name, dtype, sizes});
    return inputs;
  }
  for (const auto& [name, required] : ops::model_inputs(model.root()))
    inputs.push_back(checkpoint_input(model.model, name, required));
  return inputs;
}

std::string required_inputs(const Model::Impl& model) {
  std::vector<std::string> names;
  for (const ModelInput& input : model_inputs(model)) {
    if (input.required) names.push_back(input.name);
  }
  return fmt::format("{}", fmt::join(names, " and "));
}

bool takes_text(const Model::Impl& model) { return required_inputs(model) == kIds; }

std::optional<int64_t> longest_sequence(const Model::Impl& model) {
  if (!model.model.has_graph() || model.program != nullptr) return std::nullopt;
  return learned_positions(model.model);
}

}  // namespace lathe::api
