#include "quantization/config/presets.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/error.h"
#include "quantization/config/strict_json.h"

namespace lathe::quantization {

namespace {

constexpr auto kModel = PresetKind::kModel;
constexpr auto kKv = PresetKind::kKvCache;

constexpr std::array<PresetInfo, 41> kPresets = {{
    {"FP8_DEFAULT_CFG", "fp8", "presets/fp8", kModel, "max",
     "FP8 weights and inputs, one scale a tensor"},
    {"FP8_PER_CHANNEL_PER_TOKEN_CFG", "fp8_pc_pt", "presets/fp8_per_channel_per_token", kModel,
     "max", "FP8 weights by channel, FP8 inputs by token"},
    {"FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG", "fp8_pb_wo", "presets/fp8_2d_blockwise_weight_only",
     kModel, "max", "FP8 weights in blocks of 128 x 128"},
    {"INT8_DEFAULT_CFG", "int8", "presets/int8", kModel, "max",
     "INT8 weights by channel, INT8 inputs"},
    {"INT8_SMOOTHQUANT_CFG", "int8_sq", "presets/int8_smoothquant", kModel, "smoothquant",
     "INT8 weights and inputs after SmoothQuant"},
    {"INT8_WEIGHT_ONLY_CFG", "int8_wo", "presets/int8_weight_only", kModel, "max",
     "INT8 weights by channel"},
    {"INT4_BLOCKWISE_WEIGHT_ONLY_CFG", "int4", "presets/int4_blockwise_weight_only", kModel, "max",
     "INT4 weights in blocks of 128"},
    {"INT4_AWQ_CFG", "int4_awq", "presets/int4_awq", kModel, "awq_lite",
     "INT4 weights in blocks of 128 after AWQ"},
    {"W4A8_AWQ_BETA_CFG", "w4a8_awq", "presets/w4a8_awq_beta", kModel, "awq_lite",
     "INT4 weights and FP8 inputs after AWQ"},
    {"NVFP4_DEFAULT_CFG", "nvfp4", "presets/nvfp4", kModel, "max", "NVFP4 weights and inputs"},
    {"NVFP4_AWQ_LITE_CFG", "nvfp4_awq", "presets/nvfp4_awq_lite", kModel, "awq_lite",
     "NVFP4 weights and inputs after AWQ's scale search"},
    {"NVFP4_AWQ_CLIP_CFG", "nvfp4_awq_clip", "presets/nvfp4_awq_clip", kModel, "awq_clip",
     "NVFP4 weights and inputs after AWQ's clip search"},
    {"NVFP4_AWQ_FULL_CFG", "nvfp4_awq_full", "presets/nvfp4_awq_full", kModel, "awq_full",
     "NVFP4 weights and inputs after both searches of AWQ"},
    {"NVFP4_SVDQUANT_DEFAULT_CFG", "nvfp4_svdquant", "presets/nvfp4_svdquant", kModel, "svdquant",
     "NVFP4 weights and inputs beside a 16-bit branch of rank 32"},
    {"NVFP4_W4A4_WEIGHT_MSE_FP8_SWEEP_CFG", "nvfp4_mse", "presets/nvfp4_w4a4_weight_mse_fp8_sweep",
     kModel, "mse", "NVFP4; weight scales of least squared error"},
    {"NVFP4_W4A4_WEIGHT_LOCAL_HESSIAN_CFG", "nvfp4_local_hessian",
     "presets/nvfp4_w4a4_weight_local_hessian", kModel, "local_hessian",
     "NVFP4; weight scales of least output error"},
    {"NVFP4_FOUR_OVER_SIX_CFG", "nvfp4_four_over_six", "presets/nvfp4_four_over_six", kModel, "mse",
     "NVFP4; weight blocks that end at 4 or at 6"},
    {"W4A16_NVFP4_CFG", "w4a16_nvfp4", "presets/w4a16_nvfp4", kModel, "max", "NVFP4 weights"},
    {"W4A8_NVFP4_FP8_CFG", "w4a8_nvfp4_fp8", "presets/w4a8_nvfp4_fp8", kModel, "max",
     "NVFP4 weights in blocks of 32, FP8 inputs"},
    {"NVFP4_MLP_WEIGHT_ONLY_CFG", "nvfp4_mlp_wo", "presets/nvfp4_mlp_weight_only", kModel, "max",
     "NVFP4 weights of feed-forward and expert layers"},
    {"NVFP4_MLP_ONLY_CFG", "nvfp4_mlp_only", "presets/nvfp4_mlp_only", kModel, "max",
     "NVFP4 in feed-forward and expert layers"},
    {"NVFP4_OMLP_ONLY_CFG", "nvfp4_omlp_only", "presets/nvfp4_omlp_only", kModel, "max",
     "NVFP4 in output projections, feed-forward and expert layers"},
    {"NVFP4_EXPERTS_ONLY_CFG", "nvfp4_experts_only", "presets/nvfp4_experts_only", kModel, "max",
     "NVFP4 in the experts"},
    {"NVFP4_FP8_MHA_CONFIG", "nvfp4_fp8_mha", "presets/nvfp4_fp8_mha", kModel, "max",
     "NVFP4 weights and inputs, FP8 attention"},
    {"MXFP8_DEFAULT_CFG", "mxfp8", "presets/mxfp8", kModel, "none", "MXFP8 weights and inputs"},
    {"MXFP6_DEFAULT_CFG", "mxfp6", "presets/mxfp6", kModel, "none",
     "MXFP6 (E3M2) weights and inputs"},
    {"MXFP4_DEFAULT_CFG", "mxfp4", "presets/mxfp4", kModel, "none", "MXFP4 weights and inputs"},
    {"MXINT8_DEFAULT_CFG", "mxint8", "presets/mxint8", kModel, "none", "MXINT8 weights and inputs"},
    {"W4A8_MXFP4_FP8_CFG", "w4a8_mxfp4_fp8", "presets/w4a8_mxfp4_fp8", kModel, "none",
     "MXFP4 weights, FP8 inputs"},
    {"MXFP4_MLP_WEIGHT_ONLY_CFG", "mxfp4_mlp_wo", "presets/mxfp4_mlp_weight_only", kModel, "none",
     "MXFP4 weights of feed-forward and expert layers"},
    {"MAMBA_MOE_FP8_AGGRESSIVE_CFG", "mamba_moe_fp8_aggressive", "presets/mamba_moe_fp8_aggressive",
     kModel, "max", "FP8 for Mamba hybrids with experts, not in attention"},
    {"MAMBA_MOE_FP8_CONSERVATIVE_CFG", "mamba_moe_fp8_conservative",
     "presets/mamba_moe_fp8_conservative", kModel, "max",
     "the same, and not in Mamba's projections"},
    {"MAMBA_MOE_NVFP4_AGGRESSIVE_CFG", "mamba_moe_nvfp4_aggressive",
     "presets/mamba_moe_nvfp4_aggressive", kModel, "max",
     "NVFP4 for Mamba hybrids with experts, not in attention"},
    {"MAMBA_MOE_NVFP4_CONSERVATIVE_CFG", "mamba_moe_nvfp4_conservative",
     "presets/mamba_moe_nvfp4_conservative", kModel, "max",
     "the same, and not in Mamba's projections"},
    {"FP8_KV_CFG", "fp8", "kv/fp8", kKv, "max", "FP8 KV cache"},
    {"NVFP4_KV_CFG", "nvfp4", "kv/nvfp4", kKv, "max", "NVFP4 KV cache"},
    {"", "fp8_cast", "kv/fp8_cast", kKv, "max", "FP8 KV cache with scale 1, not calibrated"},
    {"", "nvfp4_cast", "kv/nvfp4_cast", kKv, "max", "NVFP4 KV cache with scale 1, not calibrated"},
    {"FP8_AFFINE_KV_CFG", "fp8_affine", "kv/fp8_affine", kKv, "max",
     "FP8 KV cache around a calibrated mean"},
    {"NVFP4_AFFINE_KV_CFG", "nvfp4_affine", "kv/nvfp4_affine", kKv, "max",
     "NVFP4 KV cache around a calibrated mean"},
    {"NVFP4_KV_ROTATE_CFG", "nvfp4_rotate", "kv/nvfp4_rotate", kKv, "max",
     "NVFP4 KV cache with rotated queries and keys"},
}};

[[noreturn]] void throw_no_preset(std::string_view name, PresetKind kind) {
  const PresetKind other = kind == kModel ? kKv : kModel;
  if (const PresetInfo* preset = find_preset(name, other)) {
    throw_user("{} is a format of {}: {} {}", name, kind == kModel ? "the KV cache" : "models",
               kind == kModel ? "--kv-cache" : "--format", preset->friendly);
  }
  std::vector<std::string_view> names;
  std::string known;
  for (const auto& preset : kPresets) {
    if (preset.kind != kind) continue;
    known += (known.empty() ? "" : ", ") + std::string(preset.friendly);
    names.push_back(preset.friendly);
    if (!preset.name.empty()) names.push_back(preset.name);
  }
  throw_user("there is no {} \"{}\"{}; known: {}",
             kind == PresetKind::kModel ? "format" : "KV cache format", name,
             did_you_mean(name, names), known);
}

}  // namespace

std::span<const PresetInfo> list_presets() { return kPresets; }

const PresetInfo* find_preset(std::string_view name, PresetKind kind) {
  if (name.empty()) return nullptr;
  const auto found = std::find_if(kPresets.begin(), kPresets.end(), [&](const PresetInfo& preset) {
    return preset.kind == kind && (preset.name == name || preset.friendly == name);
  });
  return found == kPresets.end() ? nullptr : &*found;
}

QuantConfig load_preset(std::string_view name, PresetKind kind, const YamlParser& yaml) {
  const PresetInfo* preset = find_preset(name, kind);
  if (!preset) throw_no_preset(name, kind);
  const auto text = embedded_recipe(preset->recipe);
  check_internal(text.has_value(), "recipe {} is not built in", preset->recipe);
  const std::string source = fmt::format("{}.yaml", preset->recipe);
  QuantConfig config = parse_quant_config(yaml(*text, source), source, yaml);
  for (auto& entry : config.entries) entry.builtin = true;
  return config;
}

std::optional<std::string_view> embedded_recipe(std::string_view name) {
  for (const auto& recipe : embedded_recipes()) {
    if (recipe.name == name) return recipe.text;
  }
  return std::nullopt;
}

}  // namespace lathe::quantization
