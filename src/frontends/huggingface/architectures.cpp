#include "frontends/huggingface/architectures.h"

#include <array>

#include "frontends/huggingface/builders.h"
#include "frontends/huggingface/decoder.h"
#include "frontends/huggingface/families.h"

namespace lathe::frontends {
namespace {

template <DecoderConfig (*read)(const ConfigReader&)>
void decoder(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build_decoder(read(config), weights, model);
}

constexpr std::array kArchitectures = {
    Architecture{"LlamaForCausalLM", "llama", &decoder<read_llama>},
    Architecture{"MistralForCausalLM", "mistral", &decoder<read_mistral>},
    Architecture{"Qwen2ForCausalLM", "qwen2", &decoder<read_qwen2>},
    Architecture{"Qwen3ForCausalLM", "qwen3", &decoder<read_qwen3>},
    Architecture{"Phi3ForCausalLM", "phi3", &decoder<read_phi3>},
    Architecture{"Gemma2ForCausalLM", "gemma2", &decoder<read_gemma2>},
    Architecture{"Gemma3ForCausalLM", "gemma3_text", &decoder<read_gemma3>},
    Architecture{"Olmo2ForCausalLM", "olmo2", &decoder<read_olmo2>},
    Architecture{"GraniteForCausalLM", "granite", &decoder<read_granite>},
    Architecture{"Starcoder2ForCausalLM", "starcoder2", &decoder<read_starcoder2>},
    Architecture{"MixtralForCausalLM", "mixtral", &decoder<read_mixtral>},
    Architecture{"Qwen3MoeForCausalLM", "qwen3_moe", &decoder<read_qwen3_moe>},
    Architecture{"DeepseekV3ForCausalLM", "deepseek_v3", &decoder<read_deepseek_v3>},
    Architecture{"GptOssForCausalLM", "gpt_oss", &decoder<read_gpt_oss>},
    Architecture{"GPT2LMHeadModel", "gpt2", &build_gpt2},
    Architecture{"GPTNeoXForCausalLM", "gpt_neox", &build_gpt_neox},
    Architecture{"OPTForCausalLM", "opt", &build_opt},
    Architecture{"BertModel", "bert", &build_bert},
    Architecture{"BertForMaskedLM", "bert", &build_bert_masked_lm},
    Architecture{"BertForSequenceClassification", "bert", &build_bert_classifier},
    Architecture{"RobertaModel", "roberta", &build_roberta},
    Architecture{"RobertaForMaskedLM", "roberta", &build_roberta_masked_lm},
    Architecture{"RobertaForSequenceClassification", "roberta", &build_roberta_classifier},
    Architecture{"ViTModel", "vit", &build_vit},
    Architecture{"ViTForImageClassification", "vit", &build_vit_classifier},
    Architecture{"WhisperModel", "whisper", &build_whisper},
    Architecture{"WhisperForConditionalGeneration", "whisper", &build_whisper_generation},
    Architecture{"T5Model", "t5", &build_t5},
    Architecture{"T5ForConditionalGeneration", "t5", &build_t5_generation},
    Architecture{"T5EncoderModel", "t5", &build_t5_encoder},
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
