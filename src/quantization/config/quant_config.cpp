#include "quantization/config/quant_config.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "quantization/config/entry.h"
#include "quantization/config/presets.h"
#include "quantization/config/strict_json.h"

namespace lathe::quantization {

using nlohmann::ordered_json;

namespace {

constexpr std::array<std::string_view, 7> kConfigKeys = {
    "quant_cfg", "algorithm", "effective_bits", "imports", "metadata", "description", "quantize"};
constexpr std::array<std::string_view, 4> kQuantizeKeys = {"quant_cfg", "algorithm",
                                                           "effective_bits", "$import"};
constexpr std::string_view kRecipeType = "ptq";
constexpr std::array<std::string_view, 12> kMethods = {
    "none",     "max",      "mse",      "local_hessian", "smoothquant", "awq_lite",
    "awq_clip", "awq_full", "svdquant", "gptq",          "lsq",         "nvfp4_act_headroom"};

/// What the entries of one file are read with.
struct Reader {
  const ordered_json* imports;  // short names of the file's own; may be null
  const YamlParser& yaml;
  bool builtin;
};

/// "configs/ptq/units/kv_fp8" and "units/kv_fp8" are the same recipe, as are
/// "configs/ptq/presets/model/fp8" and "presets/fp8".
std::string recipe_name(std::string path) {
  for (const std::string_view prefix : {"configs/ptq/", "configs/"}) {
    if (path.starts_with(prefix)) path.erase(0, prefix.size());
  }
  if (path.starts_with("presets/model/")) path.replace(0, 14, "presets/");
  if (path.starts_with("presets/kv/")) path.replace(0, 11, "kv/");
  if (path.ends_with(".yaml")) path.resize(path.size() - std::string_view(".yaml").size());
  return path;
}

std::vector<QuantConfigEntry> parse_entries(const ordered_json& value, const Reader& reader,
                                            const std::string& where);

/// The path that `$import: NAME` means: NAME may be one of the file's own short names.
std::string import_path(const ordered_json& import, const Reader& reader,
                        const std::string& where) {
  const std::string name = read_string(import, where + ".$import");
  const auto* path = reader.imports ? find_value(*reader.imports, name.c_str()) : nullptr;
  return path ? read_string(*path, where + ".$import") : name;
}

[[noreturn]] void throw_not_importable(const std::string& name, const std::string& where) {
  throw_user(
      "{}: there is no recipe {} to import: Lathe's own can be, and entries of other files must "
      "stand in the recipe itself",
      where, name);
}

std::vector<QuantConfigEntry> import_entries(const ordered_json& import, const Reader& reader,
                                             const std::string& where) {
  const std::string name = recipe_name(import_path(import, reader, where));
  const auto text = embedded_recipe(name);
  const bool importable = text && name.starts_with("units/") && !reader.builtin;
  if (!importable) throw_not_importable(name, where);
  const ordered_json recipe = reader.yaml(*text, name + ".yaml");
  return parse_entries(recipe, {nullptr, reader.yaml, true}, name);
}

/// `$import: configs/numerics/fp8` among attributes is `format: fp8`; the keys beside it change it.
void replace_format_import(ordered_json& cfg, const Reader& reader, const std::string& where) {
  if (!cfg.is_object() || !cfg.contains("$import")) return;
  const std::string path = import_path(cfg["$import"], reader, where + ": cfg");
  cfg.erase("$import");
  cfg["format"] = path.substr(path.rfind('/') + 1);
}

ordered_json without_format_imports(ordered_json entry, const Reader& reader,
                                    const std::string& where) {
  const auto cfg = entry.find("cfg");
  if (cfg == entry.end()) return entry;
  replace_format_import(*cfg, reader, where);
  if (cfg->is_array()) {
    for (auto& stage : *cfg) replace_format_import(stage, reader, where);
  }
  return entry;
}

bool is_import(const ordered_json& value) {
  return value.is_object() && value.size() == 1 && value.contains("$import");
}

/// One element of the list form: an entry, an import, or pairs of the object form.
std::vector<QuantConfigEntry> parse_element(const ordered_json& value, const Reader& reader,
                                            const std::string& where) {
  expect_object(value, where);
  if (is_import(value)) return import_entries(value["$import"], reader, where);
  if (!is_entry(value)) return parse_keyed_entries(value, where);
  return {parse_entry(without_format_imports(value, reader, where), where)};
}

/// `default` of the object form holds for what no other key matches: it comes first.
std::vector<QuantConfigEntry> parse_object_form(ordered_json object, const std::string& where) {
  std::vector<QuantConfigEntry> entries;
  if (const auto found = object.find("default"); found != object.end()) {
    entries = parse_keyed_entries({{"default", *found}}, where);
    object.erase(found);
  }
  auto rest = parse_keyed_entries(object, where);
  std::move(rest.begin(), rest.end(), std::back_inserter(entries));
  return entries;
}

std::vector<QuantConfigEntry> parse_entries(const ordered_json& value, const Reader& reader,
                                            const std::string& where) {
  std::vector<QuantConfigEntry> entries;
  if (value.is_object()) {
    entries = parse_object_form(value, where);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      auto parsed = parse_element(value[i], reader, fmt::format("{}[{}]", where, i));
      std::move(parsed.begin(), parsed.end(), std::back_inserter(entries));
    }
  } else {
    throw_user("{}: expected a list of entries or an object, found {}", where, shown(value));
  }
  if (reader.builtin) {
    for (auto& entry : entries) entry.builtin = true;
  }
  return entries;
}

std::string read_method(const ordered_json& value, const std::string& where) {
  return std::string(kMethods[read_word(value, kMethods, where)]);
}

Algorithm parse_algorithm(const ordered_json& value, const std::string& where) {
  if (value.is_null()) return {.method = "none"};
  if (value.is_string()) return {.method = read_method(value, where)};
  expect_object(value, where);
  const auto* method = find_value(value, "method");
  Algorithm algorithm{.method = method ? read_method(*method, where + ".method") : "none"};
  algorithm.params = value;
  algorithm.params.erase("method");
  return algorithm;
}

double parse_effective_bits(const ordered_json& value, const std::string& where) {
  const double bits = read_number(value, where);
  if (bits <= 0 || bits > 16)
    throw_user("{}: expected above 0 and at most 16, found {}", where, bits);
  return bits;
}

/// `quantize: {$import: presets/nvfp4}`: all of a preset, which the keys beside it change.
QuantConfig import_preset(const ordered_json& import, const Reader& reader,
                          const std::string& where) {
  const std::string name = recipe_name(import_path(import, reader, where));
  const auto text = embedded_recipe(name);
  if (!text || name.starts_with("units/")) throw_not_importable(name, where);
  const std::string source = name + ".yaml";
  QuantConfig config = parse_quant_config(reader.yaml(*text, source), source, reader.yaml);
  for (auto& entry : config.entries) entry.builtin = true;
  return config;
}

/// Recipes for other work than quantization say so: auto_quantize, speculative_eagle.
void refuse_other_types(const ordered_json& recipe, const std::string& source) {
  const auto* metadata = recipe.is_object() ? find_value(recipe, "metadata") : nullptr;
  const auto* type =
      metadata && metadata->is_object() ? find_value(*metadata, "recipe_type") : nullptr;
  if (type == nullptr || *type == kRecipeType) return;
  throw_user("{}: recipes of type {} are not supported; those of type {} are", source, shown(*type),
             kRecipeType);
}

}  // namespace

std::string_view class_base_name(std::string_view name) {
  for (const std::string_view prefix : {"torch.", "nn."}) {
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  }
  return name;
}

QuantConfig parse_quant_config(const ordered_json& value, const std::string& source,
                               const YamlParser& yaml) {
  refuse_other_types(value, source);
  expect_known_keys(value, kConfigKeys, source);
  const auto* imports = find_value(value, "imports");
  if (imports) expect_object(*imports, source + ": imports");
  const auto* nested = find_value(value, "quantize");
  const ordered_json& body = nested ? *nested : value;
  if (nested) expect_known_keys(body, kQuantizeKeys, source + ": quantize");
  const Reader reader{imports, yaml, false};
  const auto* preset = nested ? find_value(body, "$import") : nullptr;
  const auto* quant_cfg = find_value(body, "quant_cfg");
  if (!quant_cfg && !preset) throw_user("{}: quant_cfg is missing", source);

  QuantConfig config;
  if (preset) config = import_preset(*preset, reader, source + ": quantize");
  if (quant_cfg) config.entries = parse_entries(*quant_cfg, reader, source + ": quant_cfg");
  if (const auto found = body.find("algorithm"); found != body.end()) {
    config.algorithm = parse_algorithm(*found, source + ": algorithm");
  }
  if (const auto* bits = find_value(body, "effective_bits")) {
    config.effective_bits = parse_effective_bits(*bits, source + ": effective_bits");
  }
  return config;
}

QuantConfig with_kv_cache(QuantConfig base, const QuantConfig& kv_cache) {
  if (base.entries.empty()) {
    base.entries.push_back({.quantizer_name = "*", .enable = false, .builtin = true});
  }
  const auto configures = [](const QuantConfigEntry& entry) { return entry.cfg.has_value(); };
  const auto last = std::find_if(base.entries.rbegin(), base.entries.rend(), configures);
  const auto position = last == base.entries.rend() ? base.entries.end() : last.base();
  base.entries.insert(position, kv_cache.entries.begin(), kv_cache.entries.end());
  return base;
}

}  // namespace lathe::quantization
