#include "export/targets/support_table.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace lathe::exporting {
namespace {

using formats::BlockShape;

constexpr std::string_view kModelopt = "modelopt";
constexpr std::string_view kMxfp4 = "mxfp4";
constexpr std::string_view kCompressed = "compressed-tensors";

/// A storage of a dialect and who reads it.
struct Support {
  std::string_view dialect;
  std::string_view storage;
  bool vllm;
  bool sglang;
  bool trtllm;
  bool transformers;
};

constexpr std::array kSupport = {
    Support{kModelopt, "FP8", true, true, true, false},
    Support{kModelopt, "FP8_PER_CHANNEL_PER_TOKEN", true, false, false, false},
    Support{kModelopt, "fp8_pb_wo", true, false, true, false},
    Support{kModelopt, "NVFP4", true, true, true, false},
    Support{kModelopt, "W4A16_NVFP4", true, false, false, false},
    Support{kModelopt, "MXFP8", true, false, false, false},
    Support{kModelopt, "W4A16_AWQ", false, false, true, false},
    Support{kModelopt, "W4A8_AWQ", false, false, true, false},
    Support{kModelopt, "W4A8_NVFP4_FP8", false, false, true, false},
    Support{kModelopt, "W4A8_MXFP4_FP8", false, false, true, false},
    Support{kCompressed, "pack-quantized", true, true, false, true},
    Support{kCompressed, "int-quantized", true, true, false, true},
    Support{kCompressed, "float-quantized", true, true, true, true},
    Support{kCompressed, "nvfp4-pack-quantized", true, true, true, true},
    Support{kCompressed, "mxfp4-pack-quantized", true, true, true, true},
    Support{kCompressed, "mxfp6-pack-quantized", false, false, false, true},
    Support{kCompressed, "mxfp8-quantized", true, true, false, true},
    Support{kMxfp4, "mxfp4", true, true, true, true},
};

bool reads(const Support& row, Target target) {
  switch (target) {
    case Target::kAny:
      return true;
    case Target::kVllm:
      return row.vllm;
    case Target::kSglang:
      return row.sglang;
    case Target::kTrtllm:
      return row.trtllm;
    case Target::kTransformers:
      return row.transformers;
  }
  throw_internal("no target {}", static_cast<int>(target));
}

/// A layer as a rule sees it.
struct Case {
  const PlannedLayer& layer;
  std::string_view dialect;
  bool mixed;           // the model has several storages
  bool biased_experts;  // experts of the model are quantized that lie in one tensor, with biases

  bool is(std::string_view storage) const { return layer.storage.name == storage; }
  BlockShape block() const { return layer.scheme.weight.block; }
  bool weight_only() const { return !layer.scheme.input.has_value(); }
  int weight_bits() const { return layer.scheme.weight.element.bits; }
  bool has_fp8_inputs() const {
    return layer.scheme.input && layer.scheme.input->element == formats::kE4M3;
  }
  /// One of experts that the model's own checkpoint holds in one tensor.
  bool is_fused() const { return layer.place != nullptr; }
  bool has_bias() const { return is_fused() && layer.place->has_bias; }
  bool is_expert() const { return layer.scheme.path.find(".experts.") != std::string::npos; }
  bool ends_with(std::string_view name) const { return layer.scheme.path.ends_with(name); }
};

struct Rule {
  std::array<Target, 2> targets;
  bool (*breaks)(const Case&);
  std::string_view text;
};

constexpr std::array kVllmSglang = {Target::kVllm, Target::kSglang};
constexpr std::array kVllm = {Target::kVllm, Target::kVllm};
constexpr std::array kSglang = {Target::kSglang, Target::kSglang};
constexpr std::array kTrtllm = {Target::kTrtllm, Target::kTrtllm};
constexpr std::array kTransformers = {Target::kTransformers, Target::kTransformers};

bool any_of(int64_t value, std::initializer_list<int64_t> values) {
  return std::ranges::find(values, value) != values.end();
}

constexpr std::string_view kApartText =
    "it does not read one by one the experts that this model holds in one tensor: use --format "
    "mxfp4_mlp_wo with --dialect mxfp4, or leave the experts out";
constexpr std::string_view kBiasText =
    "of experts with biases in one tensor (gpt-oss) it reads MXFP4 weights alone: use --format "
    "mxfp4_mlp_wo with --dialect mxfp4, or leave the experts out";

constexpr std::string_view kWholeText = "of experts in one tensor it reads FP8 and NVFP4";

bool is_apart(const Case& c) { return c.is_fused() && !c.layer.is_fused(); }

bool is_unread_whole(const Case& c) {
  return c.is_fused() && c.dialect == kModelopt && !c.is("FP8") && !c.is("NVFP4");
}

constexpr std::array kRules = {
    Rule{kVllmSglang, &is_apart, kApartText},
    Rule{kTrtllm, &is_apart, kApartText},
    Rule{kTransformers, &is_apart, kApartText},
    Rule{kVllmSglang, [](const Case& c) { return c.has_bias() && c.dialect == kModelopt; },
         kBiasText},
    Rule{kTrtllm,
         [](const Case& c) { return c.has_bias() && c.dialect == kModelopt && !c.is("NVFP4"); },
         "of experts with biases in one tensor (gpt-oss) it reads NVFP4 or MXFP4 weights: use "
         "--format nvfp4_experts_only, or mxfp4_mlp_wo with --dialect mxfp4"},
    Rule{kTrtllm,
         [](const Case& c) { return c.biased_experts && !c.is_fused() && c.dialect == kModelopt; },
         "beside experts with biases in one tensor (gpt-oss) it reads nothing else quantized: use "
         "--format nvfp4_experts_only"},
    Rule{kVllmSglang, &is_unread_whole, kWholeText},
    Rule{kTrtllm, &is_unread_whole, kWholeText},
    Rule{kVllmSglang,
         [](const Case& c) {
           return c.is("pack-quantized") && c.block().cols > 0 &&
                  !any_of(c.block().cols, {32, 64, 128});
         },
         "integer weights need groups of 32, 64 or 128, or whole channels"},
    Rule{kVllm,
         [](const Case& c) {
           return c.is("pack-quantized") && c.has_fp8_inputs() &&
                  !(c.weight_bits() == 4 && c.block() == BlockShape{1, 128});
         },
         "with FP8 inputs it reads INT4 weights in groups of 128"},
    Rule{kSglang,
         [](const Case& c) {
           return c.is("pack-quantized") && !(c.weight_only() && any_of(c.weight_bits(), {4, 8}));
         },
         "of packed integers it reads INT4 and INT8 weights, with inputs as they are"},
    Rule{
        kVllmSglang,
        [](const Case& c) {
          return c.is("fp8_pb_wo") && (c.layer.rows % 128 != 0 || c.layer.cols % 128 != 0);
        },
        "blocks of 128 x 128 need N and K divisible by 128; leave the layer out, or use fp8_pc_pt"},
    Rule{kVllmSglang,
         [](const Case& c) {
           return c.mixed && c.dialect == kModelopt && !c.is("FP8") && !c.is("NVFP4") &&
                  !c.is("W4A16_NVFP4");
         },
         "MIXED_PRECISION may have FP8, NVFP4 and W4A16_NVFP4 layers alone; use --dialect "
         "compressed-tensors"},
    Rule{kTrtllm,
         [](const Case& c) {
           return c.is("W4A16_AWQ") && !c.layer.scheme.pre_quant_scale &&
                  (c.ends_with(".o_proj") || c.ends_with(".down_proj"));
         },
         "it needs a pre_quant_scale on output and down projections, which only AWQ gives: use "
         "--format int4_awq"},
    Rule{kTrtllm,
         [](const Case& c) {
           return c.is("W4A16_AWQ") && !any_of(c.block().cols, {64, 128});
         },
         "INT4 weights need groups of 64 or 128"},
    Rule{
        kTrtllm,
        [](const Case& c) { return c.is("float-quantized") && c.block() == formats::kPerTensor; },
        "it reads FP8 of compressed-tensors by channel and token or in blocks of 128: use --format "
        "fp8_pc_pt, or --dialect modelopt"},
    Rule{kTrtllm,
         [](const Case& c) {
           return c.is("float-quantized") && c.block() == formats::kPerChannel &&
                  !(c.layer.scheme.input && c.layer.scheme.input_dynamic &&
                    c.layer.scheme.input->block == formats::kPerChannel);
         },
         "FP8 by channel needs inputs by token: use --format fp8_pc_pt"},
    Rule{kTrtllm, [](const Case& c) { return c.is("nvfp4-pack-quantized") && c.weight_only(); },
         "NVFP4 needs NVFP4 inputs: use --format nvfp4"},
    Rule{kTrtllm, [](const Case& c) { return c.is("mxfp4-pack-quantized") && !c.weight_only(); },
         "MXFP4 is read for weights alone: switch the input quantizers off in a recipe, or use "
         "w4a8_mxfp4_fp8 in --dialect modelopt"},
    Rule{kTransformers,
         [](const Case& c) { return c.is_expert() && !c.is_fused() && !c.is("pack-quantized"); },
         "it loads experts from pack-quantized (INT4 or INT8 weights) alone: use --format int4, or "
         "leave the experts out"},
    Rule{kTransformers, [](const Case& c) { return c.is_expert() && !c.is_fused() && c.mixed; },
         "it reads experts by the first of several config_groups: use one format for the model"},
};

}  // namespace

bool target_reads(Target target, std::string_view dialect, std::string_view storage) {
  if (target == Target::kAny) return true;
  return std::ranges::any_of(kSupport, [&](const Support& row) {
    return row.dialect == dialect && row.storage == storage && reads(row, target);
  });
}

std::string rule_problem(Target target, std::string_view dialect, const PlannedLayer& layer,
                         bool mixed, bool biased_experts) {
  const Case seen{layer, dialect, mixed, biased_experts};
  for (const Rule& rule : kRules) {
    if (std::ranges::find(rule.targets, target) == rule.targets.end()) continue;
    if (rule.breaks(seen)) return std::string(rule.text);
  }
  return {};
}

std::string cache_rule_problem(Target target, std::string_view dialect,
                               const formats::Format& format) {
  if (same_storage(format, formats::kFp8)) return {};
  if (target == Target::kSglang && dialect == kModelopt)
    return "it reads FP8 caches alone: use --kv-cache fp8";
  return {};
}

}  // namespace lathe::exporting
