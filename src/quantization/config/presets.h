#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "quantization/config/quant_config.h"

namespace lathe::quantization {

/// Whether a preset says what to do with the whole model or only with its KV cache.
enum class PresetKind { kModel, kKvCache };

/// A preset: one of Lathe's own recipes.
struct PresetInfo {
  std::string_view name;      // as mtq has it: "NVFP4_DEFAULT_CFG"; "" if mtq has none
  std::string_view friendly;  // as --format or --kv-cache takes it: "nvfp4"
  std::string_view recipe;    // "presets/nvfp4"
  PresetKind kind;
  std::string_view algorithm;  // "max", "awq_lite", ..., "none"
  std::string_view summary;    // one line
};

/// All presets, those of the model first.
std::span<const PresetInfo> list_presets();

/// The preset of that name, friendly or not; null if there is none.
const PresetInfo* find_preset(std::string_view name, PresetKind kind);

/// The configuration of a preset; UserError with the nearest name if there is no such preset.
QuantConfig load_preset(std::string_view name, PresetKind kind, const YamlParser& yaml);

/// The YAML of a recipe built into the binary, by its path without ".yaml": "units/kv_fp8".
std::optional<std::string_view> embedded_recipe(std::string_view name);

/// A recipe that is built in: its path below recipes/, without ".yaml", and its text.
struct EmbeddedRecipe {
  std::string_view name;
  std::string_view text;
};

/// All of them, in the order of src/quantization/config/CMakeLists.txt.
std::span<const EmbeddedRecipe> embedded_recipes();

}  // namespace lathe::quantization
