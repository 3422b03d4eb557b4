#include "frontends/huggingface/qwen3.h"

namespace lathe::frontends {

DecoderConfig read_qwen3_config(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "Qwen3", .num_key_value_heads = 32, .head_dim = 128});
  decoder.qkv_bias = config.flag_or("attention_bias", false);
  decoder.output_bias = decoder.qkv_bias;
  decoder.qk_norm = true;
  decoder.sliding_windows = read_layer_windows(config, decoder.num_layers);
  return decoder;
}

}  // namespace lathe::frontends
