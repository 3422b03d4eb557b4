#include "frontends/huggingface/llama.h"

namespace lathe::frontends {

DecoderConfig read_llama_config(const ConfigReader& config) {
  DecoderConfig decoder = read_decoder_config(config, {.family = "Llama"});
  decoder.qkv_bias = config.flag_or("attention_bias", false);
  decoder.output_bias = decoder.qkv_bias;
  decoder.mlp_bias = config.flag_or("mlp_bias", false);
  return decoder;
}

}  // namespace lathe::frontends
