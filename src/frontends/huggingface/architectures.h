#pragma once

#include <string>
#include <string_view>

#include "frontends/huggingface/config.h"
#include "frontends/huggingface/weights.h"
#include "ir/model.h"

namespace lathe::frontends {

/// An architecture that Lathe has a graph for.
struct Architecture {
  std::string_view name;        // in config.json's "architectures": "LlamaForCausalLM"
  std::string_view model_type;  // "llama"
  /// Fills root, vocab_size and tied of the model.
  void (*build)(const ConfigReader& config, Weights& weights, ir::Model& model);
};

/// The architecture of a config; null if it is not in the table, or the config does not say.
const Architecture* find_architecture(const ConfigReader& config);

}  // namespace lathe::frontends
