// Qwen2, Qwen3 and Qwen3-MoE.
#include <algorithm>

#include "frontends/huggingface/families.h"

namespace lathe::frontends {
namespace {

void read_qwen3_attention(const ConfigReader& config, DecoderConfig& decoder) {
  decoder.attention.qkv_bias = config.flag_or("attention_bias", false);
  decoder.attention.output_bias = decoder.attention.qkv_bias;
  decoder.attention.norm = QueryKeyNorm::kHeads;
}

}  // namespace

DecoderConfig read_qwen2(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "Qwen2", .num_key_value_heads = 32});
  decoder.attention.qkv_bias = true;
  read_qwen_windows(config, decoder);
  return decoder;
}

DecoderConfig read_qwen3(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "Qwen3", .num_key_value_heads = 32, .head_dim = 128});
  read_qwen3_attention(config, decoder);
  read_qwen_windows(config, decoder);
  return decoder;
}

DecoderConfig read_qwen3_moe(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "Qwen3Moe", .num_key_value_heads = 4});
  read_qwen3_attention(config, decoder);
  // Not by layer: use_sliding_window puts the window on every one.
  if (config.flag_or("use_sliding_window", false)) read_window_of_all(config, 4096, decoder);
  const char* count_key = config.has("num_experts") ? "num_experts" : "num_local_experts";
  ExpertsConfig& experts = decoder.experts.emplace(read_experts(config, count_key, 128, 8));
  experts.size = config.size_or("moe_intermediate_size", 768);
  experts.normalize = config.flag_or("norm_topk_prob", false);
  const auto step = static_cast<size_t>(config.size_or("decoder_sparse_step", 1));
  const std::vector<int64_t> dense =
      config.find_counts("mlp_only_layers").value_or(std::vector<int64_t>());
  for (size_t i = 0; i < decoder.layers.size(); ++i) {
    const bool listed =
        std::find(dense.begin(), dense.end(), static_cast<int64_t>(i)) != dense.end();
    decoder.layers[i].sparse = !listed && (i + 1) % step == 0;
  }
  return decoder;
}

}  // namespace lathe::frontends
