#include "export/targets/target.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "export/hf_checkpoint/dialect.h"
#include "export/hf_checkpoint/reasons.h"
#include "export/targets/support_table.h"

namespace lathe::exporting {
namespace {

struct TargetName {
  Target target;
  std::string_view name;
  std::string_view title;
};

constexpr std::array kTargets = {
    TargetName{Target::kAny, "", "every engine"},
    TargetName{Target::kVllm, "vllm", "vLLM"},
    TargetName{Target::kSglang, "sglang", "SGLang"},
    TargetName{Target::kTrtllm, "trtllm", "TensorRT-LLM"},
    TargetName{Target::kTransformers, "transformers", "transformers"},
};

/// Projections that engines put side by side into one weight.
constexpr std::array<std::array<std::string_view, 3>, 3> kFused = {{
    {"q_proj", "k_proj", "v_proj"},
    {"gate_proj", "up_proj", ""},
    {"w1", "w3", ""},
}};

/// "model.layers.0.mlp.experts" of a linear of an expert, "" of others.
std::string expert_key(const std::string& path) {
  const size_t experts = path.find(".experts.");
  return experts == path.npos ? std::string() : path.substr(0, experts) + ".experts";
}

/// The first member's path of what the module is fused with; "" if there is nothing.
std::string fused_key(const std::string& path) {
  for (const char* cross : {"encoder_attn.", "crossattention.", "cross_attn."}) {
    if (path.find(cross) != path.npos) return {};  // keys and values are of another sequence
  }
  const size_t dot = path.rfind('.');
  const std::string_view name = std::string_view(path).substr(dot == path.npos ? 0 : dot + 1);
  for (const auto& family : kFused) {
    if (!name.empty() && std::ranges::find(family, name) != family.end())
      return path.substr(0, dot + 1) + std::string(family[0]);
  }
  return {};
}

using KeyOf = std::string (*)(const std::string& path);

/// Groups of at least two paths with the same key; those without one are left out.
std::vector<std::vector<std::string>> grouped(const std::vector<std::string>& paths, KeyOf key_of) {
  std::map<std::string, std::vector<std::string>> by_key;
  for (const std::string& path : paths) {
    const std::string key = key_of(path);
    if (!key.empty()) by_key[key].push_back(path);
  }
  std::vector<std::vector<std::string>> groups;
  for (auto& [key, members] : by_key) {
    if (members.size() > 1) groups.push_back(std::move(members));
  }
  return groups;
}

/// "; use --dialect modelopt"; if no dialect would do, who reads the format.
std::string alternatives(const PlannedLayer& layer, const Dialect& dialect, DType model_dtype,
                         Target target) {
  for (const Dialect* other : dialects()) {
    if (other == &dialect) continue;
    const auto storage = other->storages({&layer.scheme, 1}, model_dtype).front();
    if (storage && target_reads(target, other->name(), storage->name))
      return fmt::format("; use --dialect {}", other->name());
  }
  std::string readers;
  for (const TargetName& row : kTargets) {
    if (row.target == Target::kAny || row.target == target) continue;
    if (!target_reads(row.target, dialect.name(), layer.storage.name)) continue;
    readers += (readers.empty() ? "; it is read by " : ", ") + std::string(row.title);
  }
  return readers + "; choose another format (lathe quantize --list-formats)";
}

bool is_mixed(const std::vector<PlannedLayer>& layers) {
  return std::ranges::any_of(layers, [&](const PlannedLayer& layer) {
    return layer.storage.name != layers.front().storage.name;
  });
}

bool has_biased_experts(const std::vector<PlannedLayer>& layers) {
  return std::ranges::any_of(
      layers, [](const PlannedLayer& layer) { return layer.place && layer.place->has_bias; });
}

void check_layers(const std::vector<PlannedLayer>& layers, const Dialect& dialect,
                  DType model_dtype, Target target, ProblemsByReason& found) {
  const bool mixed = is_mixed(layers);
  const bool biased = has_biased_experts(layers);
  for (const PlannedLayer& layer : layers) {
    const std::string& path = layer.scheme.path;
    if (!target_reads(target, dialect.name(), layer.storage.name)) {
      found.add(path, fmt::format("{} does not read {} of the {} dialect{}", target_title(target),
                                  layer.storage.name, dialect.name(),
                                  alternatives(layer, dialect, model_dtype, target)));
      continue;
    }
    const std::string rule = rule_problem(target, dialect.name(), layer, mixed, biased);
    if (!rule.empty())
      found.add(path, fmt::format("{} ({}): {}", target_title(target), layer.storage.name, rule));
  }
}

/// "pack-quantized in groups of 32", or "not quantized".
std::string storage_text(const PlannedLayer* layer) {
  if (layer == nullptr) return "not quantized";
  const int64_t group = layer->scheme.weight.block.cols;
  return group > 0 ? fmt::format("{} in blocks of {}", layer->storage.name, group)
                   : std::string(layer->storage.name);
}

void check_fused(const std::vector<PlannedLayer>& layers,
                 const std::vector<std::string>& unquantized, Target target,
                 ProblemsByReason& found) {
  std::map<std::string, const PlannedLayer*> by_path;
  for (const std::string& path : unquantized) by_path[path] = nullptr;
  for (const PlannedLayer& layer : layers) by_path[layer.scheme.path] = &layer;
  std::vector<std::string> paths;
  for (const auto& [path, unused] : by_path) paths.push_back(path);
  std::vector<std::vector<std::string>> groups = fused_modules(paths);
  for (auto& experts : expert_modules(paths)) groups.push_back(std::move(experts));
  for (const std::vector<std::string>& group : groups) {
    const std::string first = storage_text(by_path.at(group.front()));
    for (const std::string& path : group) {
      const std::string text = storage_text(by_path.at(path));
      if (text == first) continue;
      found.add(path, fmt::format("it is {}, and {}, which {} fuses with it, is {}: give them "
                                  "one format in a recipe",
                                  text, group.front(), target_title(target), first));
      break;
    }
  }
}

}  // namespace

std::optional<Target> target_from_name(std::string_view name) {
  const auto found = std::ranges::find(kTargets, name, &TargetName::name);
  return found == kTargets.end() ? std::nullopt : std::optional(found->target);
}

std::string_view target_title(Target target) {
  return std::ranges::find(kTargets, target, &TargetName::target)->title;
}

bool fuses_layers(Target target) {
  return target == Target::kVllm || target == Target::kSglang || target == Target::kTrtllm;
}

std::vector<std::vector<std::string>> fused_modules(const std::vector<std::string>& paths) {
  return grouped(paths, fused_key);
}

std::vector<std::vector<std::string>> expert_modules(const std::vector<std::string>& paths) {
  return grouped(paths, expert_key);
}

std::vector<std::string> target_problems(const std::vector<PlannedLayer>& layers,
                                         const std::vector<PlannedCache>& caches,
                                         const std::vector<std::string>& unquantized,
                                         const Dialect& dialect, DType model_dtype, Target target) {
  ProblemsByReason found;
  check_layers(layers, dialect, model_dtype, target, found);
  if (fuses_layers(target)) check_fused(layers, unquantized, target, found);
  for (const PlannedCache& cache : caches) {
    const std::string rule = cache_rule_problem(target, dialect.name(), cache.scheme.format);
    if (!rule.empty())
      found.add(cache.scheme.key_path, fmt::format("{}: {}", target_title(target), rule));
  }
  std::vector<std::string> problems;
  found.append_to(problems);
  return problems;
}

std::string unread_experts(const std::vector<PlannedLayer>& layers, const Dialect& dialect) {
  const auto expert = std::ranges::find_if(
      layers, [](const PlannedLayer& layer) { return layer.place != nullptr; });
  if (expert == layers.end()) return {};
  const bool mixed = is_mixed(layers);
  const bool biased = has_biased_experts(layers);
  for (const TargetName& row : kTargets) {
    if (row.target != Target::kAny &&
        target_reads(row.target, dialect.name(), expert->storage.name) &&
        rule_problem(row.target, dialect.name(), *expert, mixed, biased).empty())
      return {};
  }
  return fmt::format(
      "{}: experts that lie in one tensor; no engine reads them as {} of the {} dialect (Lathe "
      "does); engines read MXFP4 weights: --format mxfp4_mlp_wo --dialect mxfp4",
      expert->place->path, expert->storage.name, dialect.name());
}

}  // namespace lathe::exporting
