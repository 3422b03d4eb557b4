// Mistral, and Mixtral, which is Mistral with experts.
#include "frontends/huggingface/families.h"

namespace lathe::frontends {

DecoderConfig read_mistral(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "Mistral", .num_key_value_heads = 8});
  read_window_of_all(config, 4096, decoder);
  return decoder;
}

DecoderConfig read_mixtral(const ConfigReader& config) {
  DecoderConfig decoder = read_decoder_config(
      config,
      {.family = "Mixtral", .num_key_value_heads = 8, .norm_eps = 1e-5, .rope = {.theta = 1e6}});
  read_window_of_all(config, std::nullopt, decoder);
  ExpertsConfig& experts = decoder.experts.emplace(read_experts(config, "num_local_experts", 8, 2));
  experts.size = decoder.mlp.size;
  experts.block = "block_sparse_moe";
  experts.normalize = true;
  experts.gate_name = "w1";
  experts.up_name = "w3";
  experts.down_name = "w2";
  for (LayerConfig& layer : decoder.layers) layer.sparse = true;
  return decoder;
}

}  // namespace lathe::frontends
