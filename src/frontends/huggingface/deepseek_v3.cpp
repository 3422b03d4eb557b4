#include <cmath>

#include "base/error.h"
#include "frontends/huggingface/families.h"

namespace lathe::frontends {
namespace {

LatentAttentionConfig read_latent_attention(const ConfigReader& config, const RopeSettings& rope) {
  LatentAttentionConfig attention;
  attention.num_heads = config.size("num_attention_heads");
  const bool says_rank = config.json().contains("q_lora_rank");
  attention.query_rank = says_rank ? config.find_size("q_lora_rank") : std::optional<int64_t>(1536);
  attention.key_value_rank = config.size_or("kv_lora_rank", 512);
  attention.plain_dim = config.size_or("qk_nope_head_dim", 128);
  attention.rotary_dim = config.size_or("qk_rope_head_dim", 64);
  attention.value_dim = config.size_or("v_head_dim", 128);
  attention.bias = config.flag_or("attention_bias", false);
  attention.interleaved = config.flag_or("rope_interleave", true);
  if (attention.rotary_dim % 2 != 0) config.fail("qk_rope_head_dim", "an even size");
  for (const char* key : {"qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"}) {
    constexpr int64_t kLargest = 1 << 16;
    if (config.size_or(key, 1) > kLargest) config.fail(key, "at most 65536");
  }
  attention.scale =
      1.0 / std::sqrt(static_cast<double>(attention.plain_dim + attention.rotary_dim));
  if (rope.mscale_all_dim) {
    const double mscale = yarn_mscale(rope.factor, *rope.mscale_all_dim);
    attention.scale *= mscale * mscale;
  }
  return attention;
}

ExpertsConfig read_deepseek_experts(const ConfigReader& config) {
  ExpertsConfig experts = read_experts(config, "n_routed_experts", 256, 8);
  experts.size = config.size_or("moe_intermediate_size", 2048);
  experts.shared_size = experts.size * config.size_or("n_shared_experts", 1);
  experts.router_float32 = true;
  experts.router_correction = true;
  experts.score = "sigmoid";
  experts.normalize = config.flag_or("norm_topk_prob", true);
  experts.scaling = config.positive_or("routed_scaling_factor", 2.5);
  experts.groups = config.size_or("n_group", 8);
  experts.top_groups = config.size_or("topk_group", 4);
  if (experts.num_experts % experts.groups != 0 || experts.num_experts / experts.groups < 2) {
    config.fail("n_group", fmt::format("a divisor of n_routed_experts ({}) that leaves two experts "
                                       "or more in a group",
                                       experts.num_experts));
  }
  if (experts.top_groups > experts.groups) config.fail("topk_group", "at most n_group");
  if (experts.top_k > experts.top_groups * (experts.num_experts / experts.groups)) {
    config.fail("num_experts_per_tok", "at most the experts of topk_group groups");
  }
  const std::string method = config.text_or("topk_method", "noaux_tc");
  if (method != "noaux_tc") config.unsupported("topk_method", "supported: noaux_tc");
  const std::string score = config.text_or("scoring_func", "sigmoid");
  if (score != "sigmoid") config.unsupported("scoring_func", "supported: sigmoid");
  if (config.size_or("moe_layer_freq", 1) != 1) {
    config.unsupported("moe_layer_freq", "every layer after the first ones has experts");
  }
  return experts;
}

}  // namespace

DecoderConfig read_deepseek_v3(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "DeepseekV3",
                                   .num_key_value_heads = {},
                                   .head_dim = config.size_or("qk_rope_head_dim", 64)});
  decoder.latent_attention = read_latent_attention(config, decoder.rope);
  decoder.keeps_more_layers = true;
  decoder.experts = read_deepseek_experts(config);
  const auto dense = static_cast<size_t>(config.count_or("first_k_dense_replace", 3));
  for (size_t i = 0; i < decoder.layers.size(); ++i) decoder.layers[i].sparse = i >= dense;
  return decoder;
}

}  // namespace lathe::frontends
