#include "export/hf_checkpoint/layer_plan.h"

#include <algorithm>
#include <optional>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "export/hf_checkpoint/reasons.h"
#include "ir/scalar_types.h"

namespace lathe::exporting {
namespace {

/// "fp8 weights", "nvfp4 weights and dynamic mxfp8 inputs with a pre_quant_scale".
std::string describe_formats(const LayerScheme& scheme) {
  std::string text = formats::format_name(scheme.weight) + " weights";
  if (scheme.input) {
    text += fmt::format(" and {}{} inputs", scheme.input_dynamic ? "dynamic " : "",
                        formats::format_name(*scheme.input));
  }
  return scheme.pre_quant_scale ? text + " with a pre_quant_scale" : text;
}

/// "; --dialect modelopt can store them", or that none can.
template <typename CanStore>
std::string other_dialects(const Dialect& dialect, const CanStore& can_store) {
  for (const Dialect* other : dialects()) {
    if (other != &dialect && can_store(*other))
      return fmt::format("; --dialect {} can", other->name());
  }
  return ", and no other dialect can";
}

std::string storage_problem(const LayerScheme& layer, const Dialect& dialect, DType model_dtype) {
  return fmt::format("{}: the {} dialect cannot store them{}", describe_formats(layer),
                     dialect.name(), other_dialects(dialect, [&](const Dialect& other) {
                       return other.storages({&layer, 1}, model_dtype).front().has_value();
                     }));
}

/// Why a weight cannot be packed; nothing if it can.
std::optional<std::string> shape_problem(const LayerScheme& scheme, const LayerStorage& storage,
                                         const std::vector<int64_t>& shape) {
  if (shape.size() != 2) {
    return fmt::format("the weight has {} dimensions, [N, K] is expected", shape.size());
  }
  const bool along_columns = scheme.weight.block.rows == 1 && scheme.weight.block.cols > 0;
  if (along_columns && shape[1] % scheme.weight.block.cols != 0) {
    return fmt::format("K = {} is not divisible by the block size {}", shape[1],
                       scheme.weight.block.cols);
  }
  if (storage.packing == formats::Packing::kNibbleRowPairs && shape[0] % 2 != 0) {
    return fmt::format("N = {} is odd, but {} packs pairs of rows", shape[0], storage.name);
  }
  if (shape[0] == 0 || shape[1] == 0) return "the weight is empty";
  return std::nullopt;
}

std::optional<std::string> tie_problem(const ir::Model& model, const std::string& weight) {
  for (const auto& [name, kept] : model.tied) {
    if (weight == name) return fmt::format("the weight is tied to {}", kept);
    if (weight == kept) return fmt::format("the weight is tied to {}", name);
  }
  return std::nullopt;
}

/// The name of a tensor of the source that one of the layer's would have; nothing if all are free.
std::optional<std::string> name_problem(const ir::Model& model, const LayerScheme& scheme,
                                        const LayerStorage& storage) {
  for (const StoredPart& part : storage.parts) {
    if (part.suffix == "weight") continue;
    const std::string name = fmt::format("{}.{}", scheme.path, part.suffix);
    if (model.root->find_parameter(name) != nullptr)
      return fmt::format("the model has a {} of its own beside the weight", part.suffix);
  }
  return std::nullopt;
}

/// The planned layer, or why there is none.
std::optional<std::string> plan_layer(const ir::Model& model, const Dialect& dialect,
                                      LayerScheme&& scheme, std::optional<LayerStorage>&& storage,
                                      const std::shared_ptr<const FusedPlace>& place,
                                      PlannedLayer& planned) {
  const std::string weight = scheme.path + ".weight";
  const ir::ParameterPtr parameter = model.root->find_parameter(weight);
  check_internal(parameter != nullptr, "{}: the model has no such weight to quantize", weight);
  if (!storage) return storage_problem(scheme, dialect, ir::to_dtype(model.dtype));
  if (auto problem = tie_problem(model, weight)) return problem;
  if (dialect.expert_layout() == ExpertLayout::kBlocks && !place)
    return fmt::format(
        "the {} dialect holds experts that lie in one tensor, and nothing else that "
        "is quantized",
        dialect.name());
  if (auto problem = shape_problem(scheme, *storage, parameter->shape())) return problem;
  if (auto problem = name_problem(model, scheme, *storage)) return problem;
  planned = {std::move(scheme), std::move(*storage), parameter->shape()[0], parameter->shape()[1],
             place};
  return std::nullopt;
}

void check_paths(const std::vector<PlannedLayer>& layers,
                 const std::vector<std::string>& unquantized) {
  std::unordered_set<std::string_view> paths;
  paths.reserve(layers.size());
  for (const PlannedLayer& layer : layers) {
    check_internal(paths.insert(layer.scheme.path).second, "{}: two schemes for one layer",
                   layer.scheme.path);
  }
  for (const std::string& path : unquantized)
    check_internal(!paths.contains(path), "{}: both quantized and not", path);
}

}  // namespace

std::vector<PlannedLayer> plan_layers(const ir::Model& model, QuantizationScheme& scheme,
                                      const Dialect& dialect, std::vector<std::string>& problems) {
  auto storages = dialect.storages(scheme.layers, ir::to_dtype(model.dtype));
  const auto places = fused_places(model, dialect.expert_layout());
  std::vector<PlannedLayer> layers;
  layers.reserve(scheme.layers.size());
  ProblemsByReason found;
  for (size_t i = 0; i < scheme.layers.size(); ++i) {
    PlannedLayer planned;
    LayerScheme& layer = scheme.layers[i];
    const auto place = places.find(layer.path);
    const auto fused =
        place == places.end() ? nullptr : std::make_shared<const FusedPlace>(place->second);
    if (auto problem =
            plan_layer(model, dialect, std::move(layer), std::move(storages[i]), fused, planned)) {
      found.add(layer.path, std::move(*problem));  // it was not taken
    } else {
      layers.push_back(std::move(planned));
    }
  }
  scheme.layers = std::vector<LayerScheme>();
  check_paths(layers, scheme.unquantized);
  if (found.empty()) {
    for (std::string& problem : fused_problems(model, layers))
      problems.push_back(std::move(problem));
  }
  found.append_to(problems);
  return layers;
}

void check_kv(const QuantizationScheme& scheme, const Dialect& dialect,
              std::vector<std::string>& problems) {
  ProblemsByReason found;
  for (const KvScheme& kv : scheme.kv) {
    const std::string algorithm = dialect.kv_algorithm(kv);
    const std::string first = dialect.kv_algorithm(scheme.kv.front());
    if (algorithm.empty()) {
      found.add(kv.key_path,
                fmt::format("the {} dialect has no {}{} KV cache{}", dialect.name(),
                            kv.is_affine() ? "affine " : "", formats::format_name(kv.format),
                            other_dialects(dialect, [&](const Dialect& other) {
                              return !other.kv_algorithm(kv).empty();
                            })));
    } else if (algorithm != first) {
      found.add(kv.key_path, fmt::format("a KV cache of {}, that of {} is {}", algorithm,
                                         scheme.kv.front().key_path, first));
    }
  }
  found.append_to(problems);
}

}  // namespace lathe::exporting
