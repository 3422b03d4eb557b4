#include "frontends/huggingface/qwen2.h"

namespace lathe::frontends {

DecoderConfig read_qwen2_config(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "Qwen2", .num_key_value_heads = 32});
  decoder.qkv_bias = true;
  decoder.sliding_windows = read_layer_windows(config, decoder.num_layers);
  return decoder;
}

}  // namespace lathe::frontends
