#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quantization/config/attributes.h"

namespace lathe::quantization {

/// One instruction: for the quantizers whose name matches, replace the attributes (`cfg`), switch
/// them on or off (`enable`), or both.
struct QuantConfigEntry {
  std::string quantizer_name;               // wildcard on the full dotted name: see NamePattern
  std::optional<std::string> parent_class;  // "nn.Linear": only quantizers of such a module
  /// One: a plain quantizer; more: a sequential one, each stage rounding what the last one gave.
  std::optional<std::vector<QuantizerAttributes>> cfg;
  std::optional<bool> enable;
  bool builtin = false;  // from one of Lathe's own recipes, so that it may match nothing
};

/// The calibration algorithm: its name ("none" for `algorithm: null`) and its own parameters.
struct Algorithm {
  std::string method = "max";
  nlohmann::ordered_json params = nlohmann::ordered_json::object();
};

/// What to quantize and how: entries in order, the last one that matches wins.
struct QuantConfig {
  std::vector<QuantConfigEntry> entries;
  Algorithm algorithm;
  std::optional<double> effective_bits;  // of the whole configuration, in a search
};

/// Turns YAML into JSON: io::parse_yaml.
using YamlParser = std::function<nlohmann::ordered_json(std::string_view, std::string_view)>;

/// Reads {"quant_cfg": ..., "algorithm": ...}; a recipe's {"metadata": ..., "quantize": {...}} too.
/// `source` names the file in errors. quant_cfg is either
/// - a list of {"quantizer_name", "parent_class", "cfg", "enable"} in order, where
///   {"$import": "units/kv_fp8"} stands for the entries of one of Lathe's recipes, or
/// - an object {"*weight_quantizer": {"num_bits": 8, "axis": 0}, "default": {"enable": false},
///   "nn.Linear": {"*input_quantizer": {...}}} in the order of its keys, except that `default`
///   means `*` and comes first wherever it stands: its place in such files is the end, and its
///   sense what holds for a quantizer that no other key matches.
/// An empty or contradicting cfg, an unknown key, class or algorithm, and a wrong type are
/// UserErrors that name the entry and the key.
QuantConfig parse_quant_config(const nlohmann::ordered_json& value, const std::string& source,
                               const YamlParser& yaml);

/// The entries of `kv_cache` (a preset of kind kKvCache) put into `base`: after its last entry with
/// a cfg, so that what `base` disables at its end, such as a vision tower, stays disabled. A base
/// without entries quantizes the KV cache alone.
QuantConfig with_kv_cache(QuantConfig base, const QuantConfig& kv_cache);

/// "nn.Linear", "torch.nn.Linear" and "Linear" are one class: the last.
std::string_view class_base_name(std::string_view name);

}  // namespace lathe::quantization
