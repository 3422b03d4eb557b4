#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "io/gguf_reader.h"

namespace lathe::frontends {

/// Adds rope_parameters, and rope_theta and rope_scaling for readers of before transformers 5, to a
/// config: from the keys "<architecture>.rope.*" and the tensor rope_freqs.weight, whose divisors
/// must be those of llama3 scaling. UserError for a scaling that these cannot say.
void add_gguf_rope(const io::GgufFile& file, std::string_view architecture, int64_t head_dim,
                   nlohmann::ordered_json& config);

/// The float64 with the shortest decimal form that rounds to the float32 `value`: 1e-05 in place of
/// 9.999999747378752e-06.
double shortest_float(double value);

}  // namespace lathe::frontends
