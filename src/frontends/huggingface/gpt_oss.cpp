#include "frontends/huggingface/families.h"

namespace lathe::frontends {
namespace {

/// The rope of a config that says nothing about it.
RopeSettings default_rope() {
  RopeSettings rope;
  rope.type = "yarn";
  rope.theta = 150000.0;
  rope.factor = 32.0;
  rope.original_max_position_embeddings = 4096.0;
  rope.truncate = false;
  rope.attention_factor = yarn_mscale(rope.factor, 1.0);
  return rope;
}

}  // namespace

DecoderConfig read_gpt_oss(const ConfigReader& config) {
  const bool says_rope = config.has("rope_parameters") || config.has("rope_scaling");
  DecoderConfig decoder = read_decoder_config(config, {.family = "GptOss",
                                                       .num_key_value_heads = 8,
                                                       .head_dim = 64,
                                                       .norm_eps = 1e-5,
                                                       .rope = {.theta = 150000.0},
                                                       .reads_rope = says_rope});
  if (!says_rope) {
    decoder.rope = default_rope();
    decoder.rope.theta = config.positive_or("rope_theta", decoder.rope.theta);
  }
  decoder.attention.qkv_bias = config.flag_or("attention_bias", true);
  decoder.attention.output_bias = decoder.attention.qkv_bias;
  decoder.attention.sinks = true;
  const auto alternate = [](size_t layer) { return layer % 2 == 0; };
  const std::vector<bool> is_sliding =
      read_sliding_layers(config, decoder.layers.size(), alternate);
  read_window_of_some(config, is_sliding, 128, decoder);
  ExpertsConfig& experts =
      decoder.experts.emplace(read_experts(config, "num_local_experts", 128, 4));
  experts.size = decoder.mlp.size;
  experts.router = "router";
  experts.router_bias = true;
  experts.score = "softmax_of_top_k";
  experts.interleaved = true;
  experts.alpha = config.positive_or("swiglu_alpha", experts.alpha);
  experts.limit = config.positive_or("swiglu_limit", experts.limit);
  for (LayerConfig& layer : decoder.layers) layer.sparse = true;
  return decoder;
}

}  // namespace lathe::frontends
