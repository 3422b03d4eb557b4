#include "frontends/huggingface/mistral.h"

#include <algorithm>

namespace lathe::frontends {

DecoderConfig read_mistral_config(const ConfigReader& config) {
  DecoderConfig decoder =
      read_decoder_config(config, {.family = "Mistral", .num_key_value_heads = 8});
  if (config.has("layer_types")) {
    config.unsupported("layer_types", "Mistral's layers are all of one type");
  }
  // Absent means 4096, null means full attention.
  const bool says_window = config.json().contains("sliding_window");
  const std::optional<int64_t> window =
      says_window ? config.find_size("sliding_window") : std::optional<int64_t>(4096);
  std::fill(decoder.sliding_windows.begin(), decoder.sliding_windows.end(), window);
  return decoder;
}

}  // namespace lathe::frontends
