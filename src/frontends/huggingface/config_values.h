#pragma once

#include <string>

#include "frontends/huggingface/config.h"

namespace lathe::frontends {

/// A name that make_activation knows; UserError that names the key for others.
std::string read_activation(const ConfigReader& config, const char* key, const char* absent);

/// A number of layers: from 1 to 65536.
size_t read_layer_count(const ConfigReader& config, const char* key);

/// hidden / heads, which must leave no rest; `heads_key` is named if it does.
int64_t read_head_dim(const ConfigReader& config, int64_t hidden_size, const char* heads_key);

}  // namespace lathe::frontends
