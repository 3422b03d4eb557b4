#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lathe/model.h"

namespace lathe {

/// Which quantizers there are, what each does, and how they are calibrated: a preset, or a recipe
/// in YAML or JSON, in either of two forms: an ordered list of {quantizer_name, cfg, enable}, or a
/// dictionary of wildcards
/// {"quant_cfg": {"*weight_quantizer": {"num_bits": 8, "format": "fp8"}, "default": {"enable":
/// false}},
///  "algorithm": "max"}.
class QuantizeConfig {
 public:
  /// "fp8", "nvfp4", ... or "FP8_DEFAULT_CFG", ...: UserError lists the names if there is none.
  static QuantizeConfig from_preset(std::string_view name);
  /// YAML, of which JSON is a part. `source_name` names it in errors.
  static QuantizeConfig from_text(std::string_view text, std::string source_name = "recipe");
  static QuantizeConfig from_file(const std::string& path);

  /// Appends the quantizers of the key/value cache: "fp8" or "nvfp4".
  QuantizeConfig& add_kv_cache(std::string_view format);

  std::string name() const;
  std::string algorithm() const;

  struct Impl;
  explicit QuantizeConfig(std::shared_ptr<Impl> impl);
  Impl& impl() const { return *impl_; }

 private:
  std::shared_ptr<Impl> impl_;
};

struct PresetInfo {
  std::string name;           // FP8_DEFAULT_CFG
  std::string friendly_name;  // fp8; "" if there is none
  std::string description;
};
std::vector<PresetInfo> presets();

/// Anything that runs the model on calibration data.
using ForwardLoop = std::function<void(Model&)>;

struct QuantizeOptions {
  /// Linears that read the same value (q/k/v, gate/up) get one per-tensor weight scale, which
  /// engines that fuse them need. false: FP8 and INT8 per-tensor weight scales stay separate.
  bool fuse_scales = true;
};

/// Puts quantizers into the model as the config says and calibrates them. `forward_loop` may be
/// left out if no quantizer needs activations. All problems (K not divisible by the block, ...) are
/// reported at once, before any work; after an error the model is what it was.
void quantize(Model& model, const QuantizeConfig& config, const ForwardLoop& forward_loop = {},
              const QuantizeOptions& options = {});

/// Calibrates the quantizers of a model anew: "max".
void calibrate(Model& model, std::string_view algorithm, const ForwardLoop& forward_loop = {});

/// Turns all quantizers whose full name matches the wildcard on or off; how many there were.
int64_t enable_quantizers(Model& model, std::string_view wildcard);
int64_t disable_quantizers(Model& model, std::string_view wildcard);

struct QuantizerInfo {
  std::string name;  // "model.layers.0.self_attn.q_proj.weight_quantizer"
  bool enabled;
  std::string description;  // "fp8 per-tensor", ...
  std::vector<float> amax;  // empty if it has none (yet)
};
std::vector<QuantizerInfo> quantizers(const Model& model);
void print_quant_summary(const Model& model, std::ostream& out);

/// Replaces amax values of quantizers, by name (from another calibration); scales follow from them.
void load_amax(Model& model, const NamedTensors& amax_by_name);

/// Replaces each quantized weight by its fake-quantized value and turns its quantizer off: the
/// model runs faster and gives the same outputs. It can no longer be exported.
void fold_weight(Model& model);

}  // namespace lathe
