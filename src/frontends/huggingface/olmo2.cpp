#include "frontends/huggingface/families.h"

namespace lathe::frontends {

DecoderConfig read_olmo2(const ConfigReader& config) {
  DecoderConfig decoder = read_decoder_config(config, {.family = "Olmo2", .norm_eps = 1e-5});
  decoder.attention.qkv_bias = config.flag_or("attention_bias", false);
  decoder.attention.output_bias = decoder.attention.qkv_bias;
  decoder.attention.norm = QueryKeyNorm::kWhole;
  decoder.norm_placement = NormPlacement::kAfter;
  return decoder;
}

}  // namespace lathe::frontends
