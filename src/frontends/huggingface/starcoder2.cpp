#include "frontends/huggingface/families.h"

namespace lathe::frontends {

DecoderConfig read_starcoder2(const ConfigReader& config) {
  DecoderConfig decoder = read_decoder_config(config, {.family = "Starcoder2",
                                                       .num_key_value_heads = 2,
                                                       .norm_eps = 1e-5,
                                                       .norm_eps_key = "norm_epsilon",
                                                       .activation = "gelu_pytorch_tanh",
                                                       .tie_word_embeddings = true});
  decoder.norm.layer_norm = true;
  decoder.mlp.kind = MlpKind::kPlain;
  decoder.mlp.bias = config.flag_or("use_bias", true);
  decoder.attention.qkv_bias = decoder.mlp.bias;
  decoder.attention.output_bias = decoder.mlp.bias;
  read_window_of_all(config, std::nullopt, decoder);
  return decoder;
}

}  // namespace lathe::frontends
