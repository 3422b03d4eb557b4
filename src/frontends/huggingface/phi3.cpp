#include "frontends/huggingface/families.h"

namespace lathe::frontends {

DecoderConfig read_phi3(const ConfigReader& config) {
  DecoderConfig decoder = read_decoder_config(
      config, {.family = "Phi3",
               .norm_eps = 1e-5,
               .rope = {.partial_rotary_factor = 1.0, .original_max_position_embeddings = 4096.0}});
  if (decoder.rope.type != "default" && decoder.rope.type != "longrope") {
    config.unsupported(config.has("rope_scaling") ? "rope_scaling" : "rope_parameters",
                       "Phi-3 has the types default and longrope");
  }
  decoder.attention.fused_qkv = true;
  decoder.mlp.kind = MlpKind::kFusedGated;
  read_window_of_all(config, std::nullopt, decoder);
  return decoder;
}

}  // namespace lathe::frontends
