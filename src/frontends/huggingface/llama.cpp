// Llama, and Granite, which is Llama with multipliers.
#include "frontends/huggingface/families.h"

namespace lathe::frontends {
namespace {

void read_biases(const ConfigReader& config, DecoderConfig& decoder) {
  decoder.attention.qkv_bias = config.flag_or("attention_bias", false);
  decoder.attention.output_bias = decoder.attention.qkv_bias;
  decoder.mlp.bias = config.flag_or("mlp_bias", false);
}

}  // namespace

DecoderConfig read_llama(const ConfigReader& config) {
  DecoderConfig decoder = read_decoder_config(config, {.family = "Llama"});
  read_biases(config, decoder);
  return decoder;
}

DecoderConfig read_granite(const ConfigReader& config) {
  DecoderConfig decoder = read_decoder_config(config, {.family = "Granite"});
  read_biases(config, decoder);
  decoder.attention.scale = config.positive_or("attention_multiplier", 1.0);
  decoder.embedding_multiplier = config.positive_or("embedding_multiplier", 1.0);
  decoder.residual_multiplier = config.positive_or("residual_multiplier", 1.0);
  decoder.logits_divisor = config.positive_or("logits_scaling", 1.0);
  return decoder;
}

}  // namespace lathe::frontends
