#include "export/compressed_tensors/config_json.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "export/compressed_tensors/module_targets.h"

namespace lathe::exporting {
namespace {

using formats::BlockShape;
using formats::Format;
using formats::ScaleKind;
using nlohmann::ordered_json;

enum class Role { kWeight, kInput };

/// What shares a scale, in the library's words. A row of inputs is a token.
std::string_view strategy(const Format& format, Role role) {
  if (format.scale == ScaleKind::kE4M3TwoLevel) return "tensor_group";
  if (format.block == formats::kPerTensor) return "tensor";
  if (format.block == formats::kPerChannel) return role == Role::kInput ? "token" : "channel";
  return format.block.rows == 1 ? "group" : "block";
}

/// Inputs of two levels: the block's scale is computed as they come, the one above is on file.
ordered_json dynamic_json(const Format& format, Role role, bool dynamic) {
  if (role == Role::kInput && format.scale == ScaleKind::kE4M3TwoLevel) return "local";
  return dynamic;
}

ordered_json arguments(const Format& format, Role role, bool dynamic) {
  const bool integer = format.element.kind == formats::ElementKind::kInt;
  ordered_json json = {{"num_bits", format.element.bits},
                       {"type", integer ? "int" : "float"},
                       {"symmetric", true},
                       {"strategy", strategy(format, role)}};
  if (format.block.rows == 1 && format.block.cols > 0) json["group_size"] = format.block.cols;
  if (format.block.rows > 1) json["block_structure"] = {format.block.rows, format.block.cols};
  json["dynamic"] = dynamic_json(format, role, dynamic);
  if (format.scale == ScaleKind::kE4M3TwoLevel) json["scale_dtype"] = "torch.float8_e4m3fn";
  if (format.scale == ScaleKind::kE8M0) json["scale_dtype"] = "torch.uint8";
  return json;
}

/// The group of a layer, without its targets.
ordered_json group_json(const PlannedLayer& layer) {
  const LayerScheme& scheme = layer.scheme;
  ordered_json group;
  group["format"] = layer.storage.name;
  group["weights"] = arguments(scheme.weight, Role::kWeight, false);
  group["input_activations"] = nullptr;
  if (scheme.input)
    group["input_activations"] = arguments(*scheme.input, Role::kInput, scheme.input_dynamic);
  group["output_activations"] = nullptr;
  return group;
}

struct Group {
  ordered_json json;
  std::vector<std::string> paths;
};

std::vector<Group> group_layers(const std::vector<PlannedLayer>& layers) {
  std::vector<Group> groups;
  for (const PlannedLayer& layer : layers) {
    ordered_json json = group_json(layer);
    const auto same = std::ranges::find(groups, json, &Group::json);
    Group& group = same != groups.end() ? *same : groups.emplace_back(Group{std::move(json), {}});
    group.paths.push_back(layer.scheme.path);
  }
  return groups;
}

/// All modules that may be looked up, but those of one group.
std::vector<std::string> all_but(const std::vector<Group>& groups, size_t one,
                                 const std::vector<std::string>& unquantized) {
  std::vector<std::string> names = unquantized;
  for (size_t i = 0; i < groups.size(); ++i) {
    if (i != one) names.insert(names.end(), groups[i].paths.begin(), groups[i].paths.end());
  }
  return names;
}

/// One group takes the class: what it must leave alone is in `ignore`. Several name their modules.
ordered_json config_groups(std::vector<Group>& groups,
                           const std::vector<std::string>& unquantized) {
  ordered_json json = ordered_json::object();
  for (size_t i = 0; i < groups.size(); ++i) {
    ordered_json& group = json[fmt::format("group_{}", i)];
    group["targets"] = {"Linear"};
    if (groups.size() > 1)
      group["targets"] = module_targets(groups[i].paths, all_but(groups, i, unquantized));
    group.update(groups[i].json);
  }
  return json;
}

std::string overall_format(const std::vector<PlannedLayer>& layers) {
  if (layers.empty()) return "dense";
  const std::string_view first = layers.front().storage.name;
  const bool same = std::ranges::all_of(
      layers, [&](const PlannedLayer& layer) { return layer.storage.name == first; });
  return same ? std::string(first) : "mixed-precision";
}

}  // namespace

QuantizationJson describe_compressed_tensors(const std::vector<PlannedLayer>& layers,
                                             const QuantizationScheme& scheme,
                                             const std::string& producer_version) {
  std::vector<Group> groups = group_layers(layers);
  ordered_json config;
  config["quant_method"] = "compressed-tensors";
  config["format"] = overall_format(layers);
  config["quantization_status"] = "compressed";
  config["config_groups"] = config_groups(groups, scheme.unquantized);
  config["ignore"] = module_targets(scheme.unquantized, all_but(groups, groups.size(), {}));
  config["kv_cache_scheme"] = nullptr;
  std::string kv_algorithm;
  if (!scheme.kv.empty()) {
    config["kv_cache_scheme"] = arguments(scheme.kv.front().format, Role::kInput, false);
    kv_algorithm = formats::format_name(scheme.kv.front().format);
  }
  config["producer"] = {{"name", "lathe"}, {"version", producer_version}};
  std::string algorithm = layers.empty() ? std::string() : overall_format(layers);
  return {.quantization_config = std::move(config),
          .hf_quant_config = nullptr,
          .algorithm = std::move(algorithm),
          .kv_algorithm = std::move(kv_algorithm)};
}

}  // namespace lathe::exporting
