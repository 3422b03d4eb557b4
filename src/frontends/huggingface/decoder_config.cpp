#include "frontends/huggingface/decoder_config.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "frontends/huggingface/config_values.h"

namespace lathe::frontends {
namespace {

constexpr int64_t kLargestHead = 1 << 16;
constexpr int64_t kMostExperts = 1 << 14;

void check_heads(const ConfigReader& config, int64_t hidden_size,
                 const AttentionConfig& attention) {
  if (attention.num_heads % attention.num_key_value_heads != 0) {
    config.fail("num_key_value_heads",
                fmt::format("a divisor of num_attention_heads ({})", attention.num_heads));
  }
  if (!config.has("head_dim") && hidden_size % attention.num_heads != 0) {
    config.fail("num_attention_heads", fmt::format("a divisor of hidden_size ({})", hidden_size));
  }
  if (attention.head_dim % 2 != 0 || attention.head_dim > kLargestHead) {
    throw_data(
        "{}: heads must have an even size up to {} (head_dim, or hidden_size / "
        "num_attention_heads), found {}",
        config.source_name(), kLargestHead, attention.head_dim);
  }
}

AttentionConfig read_attention(const ConfigReader& config, int64_t hidden_size,
                               const DecoderDefaults& defaults) {
  AttentionConfig attention;
  attention.num_heads = config.size("num_attention_heads");
  const bool says_heads = config.json().contains("num_key_value_heads");
  attention.num_key_value_heads = says_heads
                                      ? config.size_or("num_key_value_heads", attention.num_heads)
                                      : defaults.num_key_value_heads.value_or(attention.num_heads);
  attention.head_dim =
      config.size_or("head_dim", defaults.head_dim.value_or(hidden_size / attention.num_heads));
  check_heads(config, hidden_size, attention);
  attention.scale = 1.0 / std::sqrt(static_cast<double>(attention.head_dim));
  return attention;
}

std::vector<bool> sliding_by_type(const ConfigReader& config,
                                  const std::vector<std::string>& layer_types, size_t num_layers) {
  if (layer_types.size() != num_layers) {
    config.fail("layer_types", fmt::format("a list of num_hidden_layers ({}) strings", num_layers));
  }
  std::vector<bool> is_sliding;
  for (const std::string& type : layer_types) {
    if (type != "full_attention" && type != "sliding_attention") {
      config.unsupported("layer_types", "supported: full_attention, sliding_attention");
    }
    is_sliding.push_back(type == "sliding_attention");
  }
  return is_sliding;
}

void check_rotary_size(const ConfigReader& config, const DecoderConfig& decoder) {
  const int64_t size = decoder.rope.rotary_size(decoder.attention.head_dim);
  if (size >= 2 && size % 2 == 0) return;
  throw_data("{}: partial_rotary_factor {} of a head of {} must be an even number of elements",
             config.source_name(), decoder.rope.partial_rotary_factor, decoder.attention.head_dim);
}

}  // namespace

DecoderConfig read_decoder_config(const ConfigReader& config, const DecoderDefaults& defaults) {
  DecoderConfig decoder;
  decoder.family = defaults.family;
  decoder.vocab_size = config.size("vocab_size");
  decoder.hidden_size = config.size("hidden_size");
  decoder.mlp.size = config.size("intermediate_size");
  decoder.layers.resize(read_layer_count(config, "num_hidden_layers"));
  decoder.attention = read_attention(config, decoder.hidden_size, defaults);
  decoder.norm.eps = config.positive_or(defaults.norm_eps_key, defaults.norm_eps);
  decoder.mlp.activation = read_activation(config, defaults.activation_key, defaults.activation);
  decoder.tie_word_embeddings = config.flag_or("tie_word_embeddings", defaults.tie_word_embeddings);
  if (defaults.reads_rope) {
    decoder.rope = read_rope(config, defaults.rope);
    check_rotary_size(config, decoder);
  }
  return decoder;
}

std::vector<bool> read_sliding_layers(const ConfigReader& config, size_t num_layers,
                                      bool (*absent)(size_t layer)) {
  if (const auto layer_types = config.find_texts("layer_types")) {
    return sliding_by_type(config, *layer_types, num_layers);
  }
  std::vector<bool> is_sliding;
  for (size_t layer = 0; layer < num_layers; ++layer) is_sliding.push_back(absent(layer));
  return is_sliding;
}

void read_qwen_windows(const ConfigReader& config, DecoderConfig& decoder) {
  const bool use_window = config.flag_or("use_sliding_window", false);
  const bool says_window = config.json().contains("sliding_window");
  const std::optional<int64_t> window =
      says_window ? config.find_size("sliding_window") : std::optional<int64_t>(4096);
  const auto layer_types = config.find_texts("layer_types");
  std::vector<bool> is_sliding;
  if (layer_types) is_sliding = sliding_by_type(config, *layer_types, decoder.layers.size());
  const auto first = static_cast<size_t>(config.count_or("max_window_layers", 28));
  for (size_t layer = 0; layer < decoder.layers.size(); ++layer) {
    const bool slides = layer_types ? is_sliding[layer] : layer >= first;
    std::optional<int64_t>& own = decoder.layers[layer].window;
    if (slides && use_window) own = window;
    if (slides && layer_types && !own) {
      config.fail(use_window ? "sliding_window" : "use_sliding_window",
                  use_window ? "a size, since layer_types has sliding_attention"
                             : "true, since layer_types has sliding_attention");
    }
  }
}

void read_window_of_some(const ConfigReader& config, const std::vector<bool>& is_sliding,
                         int64_t absent, DecoderConfig& decoder) {
  const bool is_null = config.json().contains("sliding_window") && !config.has("sliding_window");
  const int64_t window = config.size_or("sliding_window", absent);
  for (size_t i = 0; i < decoder.layers.size(); ++i) {
    if (!is_sliding[i]) continue;
    if (is_null) config.fail("sliding_window", "a size, since there are sliding_attention layers");
    decoder.layers[i].window = window;
  }
}

void read_window_of_all(const ConfigReader& config, std::optional<int64_t> absent,
                        DecoderConfig& decoder) {
  if (config.has("layer_types")) {
    config.unsupported("layer_types",
                       fmt::format("{}'s layers are all of one type", decoder.family));
  }
  const bool says_window = config.json().contains("sliding_window");
  const std::optional<int64_t> window = says_window ? config.find_size("sliding_window") : absent;
  for (LayerConfig& layer : decoder.layers) layer.window = window;
}

ExpertsConfig read_experts(const ConfigReader& config, const char* count_key,
                           std::optional<int64_t> default_count, int64_t default_top_k) {
  ExpertsConfig experts;
  experts.num_experts =
      default_count ? config.size_or(count_key, *default_count) : config.size(count_key);
  experts.top_k = config.size_or("num_experts_per_tok", default_top_k);
  if (experts.num_experts > kMostExperts) config.fail(count_key, "at most 16384");
  if (experts.top_k > experts.num_experts) {
    config.fail("num_experts_per_tok",
                fmt::format("at most {} ({})", count_key, experts.num_experts));
  }
  return experts;
}

}  // namespace lathe::frontends
