#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantization/config/name_pattern.h"
#include "quantization/config/quant_config.h"

namespace lathe::quantization {

/// What a configuration makes of one quantizer.
struct ResolvedQuantizer {
  bool enabled = false;
  /// One, or the stages of a sequential quantizer; shared between quantizers.
  std::shared_ptr<const std::vector<QuantizerAttributes>> stages;
  std::optional<size_t> entry;  // the entry that set the attributes; none: the defaults
  /// Whether the entry that switched it on or off says which modules it means, by parent_class or
  /// by a name that says more than which quantizer ("*mlp*"; not "*" or "*weight_quantizer").
  bool module_is_named = false;
};

/// A quantizer of the model, by its full dotted name ("model.layers.0.mlp.up_proj.input_quantizer")
/// and the class of the module that it belongs to ("Linear" or "nn.Linear").
struct QuantizerName {
  std::string name;
  std::string parent_class;
};

/// Applies a configuration to quantizers by name. What is matched by no entry is INT8 with one
/// static scale (a weight_quantizer of Linear and convolutions: one for each index of axis 0), on
/// unless it is an output_quantizer. The quantizers of fused experts, "weight_quantizers.3", also
/// match as "weight_quantizer", those of a head that is called embed_out as lm_head's.
class QuantizerResolver {
 public:
  explicit QuantizerResolver(QuantConfig config);

  const QuantConfig& config() const { return config_; }
  ResolvedQuantizer resolve(std::string_view name, std::string_view parent_class) const;

  /// The entries, other than Lathe's own (builtin), that match none of `names`: most likely
  /// misspelt.
  std::vector<size_t> unmatched_entries(std::span<const QuantizerName> names) const;

 private:
  using Stages = std::shared_ptr<const std::vector<QuantizerAttributes>>;

  bool entry_matches(size_t entry, std::string_view name, std::string_view normalized,
                     std::string_view parent_class) const;

  QuantConfig config_;
  std::vector<NamePattern> patterns_;  // of each entry
  std::vector<bool> names_modules_;    // of each entry: whether it says which modules it means
  std::vector<Stages> stages_;         // of each entry; null without cfg
  Stages per_tensor_;
  Stages per_channel_;
};

}  // namespace lathe::quantization
