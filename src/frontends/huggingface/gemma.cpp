// Gemma 2 and the text model of Gemma 3.
#include <cmath>

#include "frontends/huggingface/families.h"

namespace lathe::frontends {
namespace {

DecoderConfig read_gemma(const ConfigReader& config, const DecoderDefaults& defaults) {
  config.refuse_flag("use_bidirectional_attention", "attention is causal");
  DecoderConfig decoder = read_decoder_config(config, defaults);
  decoder.attention.qkv_bias = config.flag_or("attention_bias", false);
  decoder.attention.output_bias = decoder.attention.qkv_bias;
  decoder.attention.scale = 1.0 / std::sqrt(config.positive_or("query_pre_attn_scalar", 256.0));
  decoder.norm.weight_offset = 1.0;
  decoder.norm_placement = NormPlacement::kBoth;
  decoder.embedding_multiplier = std::sqrt(static_cast<double>(decoder.hidden_size));
  decoder.rounds_embedding_multiplier = true;
  return decoder;
}

/// Absent is the default, null is none.
std::optional<double> read_softcap(const ConfigReader& config, const char* key,
                                   std::optional<double> absent) {
  return config.json().contains(key) ? config.find_positive(key) : absent;
}

DecoderDefaults gemma_defaults(const char* family) {
  return {.family = family,
          .num_key_value_heads = 4,
          .head_dim = 256,
          .activation = "gelu_pytorch_tanh",
          .activation_key = "hidden_activation",
          .tie_word_embeddings = true};
}

/// Gemma 3's rope_parameters are by layer type; before, rope_scaling and rope_theta were those of
/// full attention and rope_local_base_freq that of sliding attention.
void read_gemma3_rope(const ConfigReader& config, DecoderConfig& decoder) {
  const RopeDefaults global{.theta = 1e6};
  const RopeDefaults local{.theta = 1e4};
  const auto both = config.find_object("rope_parameters");
  if (both && config.has("rope_scaling"))
    config.unsupported("rope_scaling", "with rope_parameters");
  const auto section = [&](const char* type) {
    return both ? both->find_object(type) : std::nullopt;
  };
  const auto full = section("full_attention");
  const auto sliding = section("sliding_attention");
  if (both && !full && !sliding && !both->json().empty()) {
    config.unsupported("rope_parameters", "expected full_attention and sliding_attention");
  }
  decoder.rope = full ? read_rope_section(config, *full, global) : read_rope(config, global);
  RopeSettings& own = decoder.local_rope.emplace();
  own.theta = config.positive_or("rope_local_base_freq", local.theta);
  if (sliding) own = read_rope_section(config, *sliding, {.theta = own.theta});
}

}  // namespace

DecoderConfig read_gemma2(const ConfigReader& config) {
  DecoderConfig decoder = read_gemma(config, gemma_defaults("Gemma2"));
  decoder.attention.softcap = read_softcap(config, "attn_logit_softcapping", 50.0);
  decoder.logits_softcap = read_softcap(config, "final_logit_softcapping", 30.0);
  const auto alternate = [](size_t layer) { return layer % 2 == 0; };
  read_window_of_some(config, read_sliding_layers(config, decoder.layers.size(), alternate), 4096,
                      decoder);
  return decoder;
}

DecoderConfig read_gemma3(const ConfigReader& config) {
  DecoderDefaults defaults = gemma_defaults("Gemma3");
  defaults.reads_rope = false;
  DecoderConfig decoder = read_gemma(config, defaults);
  // transformers has attn_logit_softcapping in the config and does not apply it.
  decoder.logits_softcap = read_softcap(config, "final_logit_softcapping", std::nullopt);
  decoder.attention.norm = QueryKeyNorm::kHeads;
  const size_t count = decoder.layers.size();
  std::vector<bool> is_sliding;
  if (config.has("layer_types")) {
    is_sliding = read_sliding_layers(config, count, nullptr);
  } else {
    const auto pattern = static_cast<size_t>(config.size_or("sliding_window_pattern", 6));
    for (size_t i = 0; i < count; ++i) is_sliding.push_back((i + 1) % pattern != 0);
  }
  read_window_of_some(config, is_sliding, 4096, decoder);
  for (size_t i = 0; i < count; ++i) decoder.layers[i].local_rope = is_sliding[i];
  read_gemma3_rope(config, decoder);
  return decoder;
}

}  // namespace lathe::frontends
