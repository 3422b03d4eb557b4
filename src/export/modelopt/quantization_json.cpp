#include "export/modelopt/quantization_json.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "export/modelopt/algorithm_choice.h"
#include "export/modelopt/exclude_modules.h"

namespace lathe::exporting {
namespace {

using nlohmann::ordered_json;

/// TensorRT-LLM's AutoDeploy and, without config.json's part, vLLM and SGLang refuse any other
/// name: the pair names the dialect and its release. The program that wrote it is named beside.
ordered_json producer(const std::string& version) {
  return {{"name", "modelopt"}, {"version", "0.47.0"}, {"written_by", "lathe " + version}};
}

/// {"quant_algo": ..., "group_size": ...}: a layer's entry in quantized_layers, and the start of
/// the description of a model whose layers are all alike.
ordered_json algorithm_json(const Algorithm& algorithm, const PlannedLayer& layer) {
  ordered_json json = {{"quant_algo", algorithm.name}};
  if (algorithm.group_size_key) json["group_size"] = layer.scheme.weight.block.cols;
  if (algorithm.zero_point_keys) {
    json["has_zero_point"] = false;
    json["pre_quant_scale"] = true;
  }
  return json;
}

ordered_json format_json(const formats::Format& format, bool dynamic) {
  const bool integer = format.element.kind == formats::ElementKind::kInt;
  ordered_json json = {
      {"dynamic", dynamic}, {"num_bits", format.element.bits}, {"type", integer ? "int" : "float"}};
  if (format.block.rows == 1 && format.block.cols > 0) json["group_size"] = format.block.cols;
  return json;
}

ordered_json group_json(const PlannedLayer& layer) {
  ordered_json group;
  if (layer.scheme.input) {
    group["input_activations"] = format_json(*layer.scheme.input, layer.scheme.input_dynamic);
  }
  group["weights"] = format_json(layer.scheme.weight, false);
  return group;
}

/// Experts in one tensor are one module to readers.
std::string described_path(const PlannedLayer& layer) {
  return layer.is_fused() ? layer.place->module() : layer.scheme.path;
}

/// Layers that are described alike.
struct LayerGroup {
  ordered_json algorithm;
  const PlannedLayer* first;
  std::vector<std::string> paths;
};

std::vector<LayerGroup> group_layers(const std::vector<PlannedLayer>& layers,
                                     const AlgorithmChoice& choose) {
  std::vector<LayerGroup> groups;
  for (const PlannedLayer& layer : layers) {
    ordered_json algorithm = algorithm_json(*choose(layer.scheme), layer);
    const auto same = std::ranges::find(groups, algorithm, &LayerGroup::algorithm);
    LayerGroup& group = same != groups.end()
                            ? *same
                            : groups.emplace_back(LayerGroup{std::move(algorithm), &layer, {}});
    std::string path = described_path(layer);
    if (group.paths.empty() || group.paths.back() != path) group.paths.push_back(std::move(path));
  }
  return groups;
}

ordered_json quantized_layers(const std::vector<PlannedLayer>& layers,
                              const AlgorithmChoice& choose) {
  ordered_json::object_t json;  // paths differ but for those of experts, which are side by side
  for (const PlannedLayer& layer : layers) {
    std::string path = described_path(layer);
    if (!json.empty() && json.back().first == path) continue;
    json.emplace_back(std::move(path), algorithm_json(*choose(layer.scheme), layer));
  }
  return json;
}

ordered_json config_groups(std::vector<LayerGroup>& groups) {
  ordered_json json = ordered_json::object();
  for (size_t i = 0; i < groups.size(); ++i) {
    ordered_json group = group_json(*groups[i].first);
    std::ranges::sort(groups[i].paths);
    if (groups.size() == 1) {
      group["targets"] = ordered_json::array({"Linear"});
    } else {
      group["targets"] = groups[i].paths;
    }
    json[fmt::format("group_{}", i)] = std::move(group);
  }
  return json;
}

ordered_json kv_algorithm_json(const QuantizationScheme& scheme) {
  if (scheme.kv.empty()) return nullptr;
  return modelopt_kv_algorithm(scheme.kv.front());
}

/// FP8 is described; another format is only named, as the dialect does.
ordered_json kv_scheme_json(const KvScheme& scheme) {
  if (same_storage(scheme.format, formats::kFp8)) return format_json(scheme.format, false);
  return modelopt_kv_algorithm(scheme);
}

std::vector<std::string> excluded(const std::vector<PlannedLayer>& layers,
                                  const QuantizationScheme& scheme) {
  std::vector<std::string> quantized;
  for (const PlannedLayer& layer : layers) quantized.push_back(layer.scheme.path);
  return exclude_patterns(scheme.unquantized, std::move(quantized));
}

}  // namespace

std::string modelopt_kv_algorithm(const KvScheme& scheme) {
  if (same_storage(scheme.format, formats::kFp8)) return "FP8";
  if (!same_storage(scheme.format, formats::kNvfp4)) return "";
  return scheme.is_affine() ? "NVFP4_AFFINE" : "NVFP4";
}

QuantizationJson describe_quantization(const std::vector<PlannedLayer>& layers,
                                       const QuantizationScheme& scheme,
                                       const std::string& producer_version) {
  const AlgorithmChoice choose(layers);
  std::vector<LayerGroup> groups = group_layers(layers, choose);
  const bool mixed = groups.size() > 1;
  const ordered_json exclude = excluded(layers, scheme);
  ordered_json algorithm = {{"quant_algo", nullptr}};
  if (mixed) algorithm["quant_algo"] = "MIXED_PRECISION";
  if (groups.size() == 1) algorithm = groups.front().algorithm;

  ordered_json quantization = {{"quant_algo", algorithm["quant_algo"]},
                               {"kv_cache_quant_algo", kv_algorithm_json(scheme)}};
  quantization.update(algorithm);
  quantization["exclude_modules"] = exclude;
  if (mixed) quantization["quantized_layers"] = quantized_layers(layers, choose);

  ordered_json config = ordered_json::object();
  if (mixed || (!layers.empty() && choose(layers.front().scheme)->config_groups)) {
    config["config_groups"] = config_groups(groups);
  }
  config["ignore"] = exclude;
  config["quant_algo"] = algorithm["quant_algo"];
  if (!scheme.kv.empty()) config["kv_cache_scheme"] = kv_scheme_json(scheme.kv.front());
  if (mixed) config["quantized_layers"] = quantization["quantized_layers"];
  config["producer"] = producer(producer_version);
  config["quant_method"] = "modelopt";
  ordered_json file;
  file["producer"] = config["producer"];
  file["quantization"] = std::move(quantization);
  const ordered_json& named = algorithm["quant_algo"];
  return {
      .quantization_config = std::move(config),
      .hf_quant_config = std::move(file),
      .algorithm = named.is_string() ? named.get<std::string>() : std::string(),
      .kv_algorithm = scheme.kv.empty() ? std::string() : modelopt_kv_algorithm(scheme.kv.front())};
}

}  // namespace lathe::exporting
