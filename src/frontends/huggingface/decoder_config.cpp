#include "base/error.h"
#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/decoder.h"

namespace lathe::frontends {
namespace {

void check_heads(const ConfigReader& config, const DecoderConfig& decoder) {
  if (decoder.num_heads % decoder.num_key_value_heads != 0) {
    config.fail("num_key_value_heads",
                fmt::format("a divisor of num_attention_heads ({})", decoder.num_heads));
  }
  if (!config.has("head_dim") && decoder.hidden_size % decoder.num_heads != 0) {
    config.fail("num_attention_heads",
                fmt::format("a divisor of hidden_size ({})", decoder.hidden_size));
  }
  constexpr int64_t kLargestHead = 1 << 16;
  if (decoder.head_dim % 2 != 0 || decoder.head_dim > kLargestHead) {
    throw_data(
        "{}: heads must have an even size up to {} (head_dim, or hidden_size / "
        "num_attention_heads), found {}",
        config.source_name(), kLargestHead, decoder.head_dim);
  }
}

std::vector<bool> read_layer_types(const ConfigReader& config,
                                   const std::vector<std::string>& layer_types,
                                   int64_t num_layers) {
  if (static_cast<int64_t>(layer_types.size()) != num_layers) {
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

}  // namespace

DecoderConfig read_decoder_config(const ConfigReader& config, const DecoderDefaults& defaults) {
  DecoderConfig decoder;
  decoder.family = defaults.family;
  decoder.vocab_size = config.size("vocab_size");
  decoder.hidden_size = config.size("hidden_size");
  decoder.intermediate_size = config.size("intermediate_size");
  decoder.num_layers = config.size("num_hidden_layers");
  constexpr int64_t kMostLayers = 1 << 16;
  if (decoder.num_layers > kMostLayers) config.fail("num_hidden_layers", "at most 65536");
  decoder.sliding_windows.resize(static_cast<size_t>(decoder.num_layers));
  decoder.num_heads = config.size("num_attention_heads");
  const bool says_heads = config.json().contains("num_key_value_heads");
  decoder.num_key_value_heads = says_heads
                                    ? config.size_or("num_key_value_heads", decoder.num_heads)
                                    : defaults.num_key_value_heads.value_or(decoder.num_heads);
  decoder.head_dim = config.size_or(
      "head_dim", defaults.head_dim.value_or(decoder.hidden_size / decoder.num_heads));
  check_heads(config, decoder);
  decoder.rms_norm_eps = config.positive_or("rms_norm_eps", decoder.rms_norm_eps);
  decoder.activation = config.text_or("hidden_act", decoder.activation);
  if (!make_activation(decoder.activation)) {
    config.unsupported("hidden_act", "supported: " + supported_activations());
  }
  decoder.tie_word_embeddings = config.flag_or("tie_word_embeddings", false);
  decoder.rope = read_rope(config);
  return decoder;
}

std::vector<std::optional<int64_t>> read_layer_windows(const ConfigReader& config,
                                                       int64_t num_layers) {
  std::vector<std::optional<int64_t>> windows(static_cast<size_t>(num_layers));
  const bool use_window = config.flag_or("use_sliding_window", false);
  const bool says_window = config.json().contains("sliding_window");
  const std::optional<int64_t> window =
      says_window ? config.find_size("sliding_window") : std::optional<int64_t>(4096);
  const auto layer_types = config.find_texts("layer_types");
  std::vector<bool> is_sliding;
  if (layer_types) {
    is_sliding = read_layer_types(config, *layer_types, num_layers);
  } else {
    const int64_t first = config.count_or("max_window_layers", 28);
    for (int64_t layer = 0; layer < num_layers; ++layer) is_sliding.push_back(layer >= first);
  }
  for (size_t layer = 0; layer < windows.size(); ++layer) {
    if (is_sliding[layer] && use_window) windows[layer] = window;
    if (is_sliding[layer] && layer_types && !windows[layer]) {
      config.fail(use_window ? "sliding_window" : "use_sliding_window",
                  use_window ? "a size, since layer_types has sliding_attention"
                             : "true, since layer_types has sliding_attention");
    }
  }
  return windows;
}

}  // namespace lathe::frontends
