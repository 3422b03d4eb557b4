#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "frontends/huggingface/config.h"

namespace lathe::frontends {

/// How rotary position embeddings are scaled beyond the trained context.
struct RopeSettings {
  std::string type = "default";  // "default", "linear", "dynamic", "llama3", "yarn" or "longrope"
  double theta = 10000.0;
  double partial_rotary_factor = 1.0;             // the share of each head that is rotated
  double factor = 1.0;                            // linear, dynamic, llama3, yarn
  double original_max_position_embeddings = 0.0;  // dynamic, llama3, yarn, longrope
  double low_freq_factor = 1.0;                   // llama3
  double high_freq_factor = 4.0;
  double beta_fast = 32.0;  // yarn
  double beta_slow = 1.0;
  bool truncate = true;
  std::optional<double> mscale_all_dim;
  double attention_factor = 1.0;      // yarn, longrope: of cos and sin
  std::vector<double> short_factors;  // longrope: one a frequency
  std::vector<double> long_factors;

  /// The number of elements of a head that are rotated.
  int64_t rotary_size(int64_t head_dim) const {
    return static_cast<int64_t>(static_cast<double>(head_dim) * partial_rotary_factor);
  }
};

/// What an architecture takes where config.json says nothing.
struct RopeDefaults {
  double theta = 10000.0;
  /// Nothing: the architecture rotates heads whole, another partial_rotary_factor is a UserError.
  std::optional<double> partial_rotary_factor = std::nullopt;
  std::optional<double> original_max_position_embeddings = std::nullopt;
};

/// Reads `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before). UserError
/// for a type that is not in the list above and for settings by layer type.
RopeSettings read_rope(const ConfigReader& config, const RopeDefaults& defaults = {});

/// The same from one section, which alone says theta; `config` has the lengths of contexts.
RopeSettings read_rope_section(const ConfigReader& config, const ConfigReader& section,
                               const RopeDefaults& defaults);

/// 0.1 mscale ln(scale) + 1 of YaRN (Peng et al. 2023, arXiv:2309.00071).
double yarn_mscale(double scale, double mscale);

}  // namespace lathe::frontends
