#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "frontends/huggingface/config.h"

namespace lathe::frontends {

/// How rotary position embeddings are scaled beyond the trained context.
struct RopeSettings {
  std::string type = "default";  // "default", "linear", "llama3" or "yarn"
  double theta = 10000.0;
  double factor = 1.0;                            // linear, llama3, yarn
  double original_max_position_embeddings = 0.0;  // llama3, yarn
  double low_freq_factor = 1.0;                   // llama3
  double high_freq_factor = 4.0;
  double beta_fast = 32.0;  // yarn
  double beta_slow = 1.0;
  bool truncate = true;
  double attention_factor = 1.0;  // yarn: of cos and sin
};

struct Rope {
  at::Tensor inv_freq;  // float32 [head_dim / 2]
  double attention_scaling;
};

/// Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before). UserError
/// for a type that is not in the list above, for settings by layer type and for a
/// partial_rotary_factor other than 1.
RopeSettings read_rope(const ConfigReader& config);

/// The frequencies in float32, computed in the order of transformers, so that they agree to the
/// last bit.
Rope make_rope(const RopeSettings& settings, int64_t head_dim);

/// What llama3 scaling divides each frequency by: float32 [head_dim / 2].
at::Tensor llama3_divisors(const RopeSettings& settings, int64_t head_dim);

}  // namespace lathe::frontends
