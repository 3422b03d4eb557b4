#include "frontends/huggingface/tied_parameters.h"

#include "base/log.h"

namespace lathe::frontends {

bool tie_parameter(bool wanted, const std::string& tied, const std::string& kept, Weights& weights,
                   ir::Model& model) {
  if (!wanted) return false;
  if (!weights.tie(tied, kept)) {
    spdlog::warn("{}: tie_word_embeddings is set, but {} and {} differ: they are not tied",
                 weights.source_name(), tied, kept);
    model.config["tie_word_embeddings"] = false;
    return false;
  }
  model.tied.emplace_back(tied, kept);
  return true;
}

ir::ModulePtr tied_linear(const ir::Module& embedding) {
  ir::ModulePtr module = ir::make_module("Linear");
  module->parameters.set("weight", *embedding.parameters.find("weight"));
  return module;
}

}  // namespace lathe::frontends
