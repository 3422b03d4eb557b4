#include "frontends/huggingface/config_values.h"

#include <fmt/format.h>

#include "frontends/huggingface/activation.h"

namespace lathe::frontends {

std::string read_activation(const ConfigReader& config, const char* key, const char* absent) {
  std::string name = config.text_or(key, absent);
  if (!is_activation(name)) config.unsupported(key, "supported: " + supported_activations());
  return name;
}

size_t read_layer_count(const ConfigReader& config, const char* key) {
  constexpr int64_t kMostLayers = 1 << 16;
  const int64_t count = config.size(key);
  if (count > kMostLayers) config.fail(key, "at most 65536");
  return static_cast<size_t>(count);
}

int64_t read_head_dim(const ConfigReader& config, int64_t hidden_size, const char* heads_key) {
  const int64_t heads = config.size(heads_key);
  if (hidden_size % heads != 0) {
    config.fail(heads_key, fmt::format("a divisor of the hidden size ({})", hidden_size));
  }
  return hidden_size / heads;
}

}  // namespace lathe::frontends
