#include "frontends/huggingface/architectures.h"

#include <array>

#include "frontends/huggingface/decoder.h"
#include "frontends/huggingface/llama.h"
#include "frontends/huggingface/mistral.h"
#include "frontends/huggingface/qwen2.h"
#include "frontends/huggingface/qwen3.h"

namespace lathe::frontends {
namespace {

template <DecoderConfig (*read)(const ConfigReader&)>
void build_dense(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build_decoder(read(config), weights, model);
}

constexpr std::array kArchitectures = {
    Architecture{"LlamaForCausalLM", "llama", &build_dense<read_llama_config>},
    Architecture{"MistralForCausalLM", "mistral", &build_dense<read_mistral_config>},
    Architecture{"Qwen2ForCausalLM", "qwen2", &build_dense<read_qwen2_config>},
    Architecture{"Qwen3ForCausalLM", "qwen3", &build_dense<read_qwen3_config>},
};

}  // namespace

const Architecture* find_architecture(const ConfigReader& config) {
  const auto names = config.find_texts("architectures");
  const std::string model_type = config.text_or("model_type", "");
  if (names && names->size() > 1) return nullptr;
  const bool named = names && !names->empty();
  for (const Architecture& row : kArchitectures) {
    const bool name_fits = !named || names->front() == row.name;
    const bool type_fits = model_type.empty() ? named : model_type == row.model_type;
    if (name_fits && type_fits) return &row;
  }
  return nullptr;
}

}  // namespace lathe::frontends
