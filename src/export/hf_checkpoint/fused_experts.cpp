#include "export/hf_checkpoint/fused_experts.h"

#include <map>
#include <optional>

#include "base/error.h"
#include "export/hf_checkpoint/planned_layer.h"
#include "ir/scalar_types.h"

namespace lathe::exporting {
namespace {

std::string fused_name(const FusedPlace& place, const StoredPart& part) {
  if (place.layout == ExpertLayout::kTransposed && part.part == LayerPart::kWeight)
    return place.path;
  return place.path + "_" + std::string(part.suffix);
}

/// The tensor of `members`' parameters called `name`; nothing if not all have one.
std::optional<FusedTensor> plain_tensor(const ir::Model& model, const ir::FusedLinears& linears,
                                        const std::string& name, const std::string& fused) {
  FusedTensor planned{.tensor = {.name = fused, .dtype = {}, .shape = {}},
                      .module = linears.path.substr(0, linears.path.rfind('.')),
                      .parameters = {}};
  for (const std::string& member : linears.members) {
    const ir::ParameterPtr parameter = model.root->find_parameter(ir::join_path(member, name));
    if (!parameter) return std::nullopt;
    std::vector<int64_t> shape = parameter->shape();
    if (shape.size() == 2) std::swap(shape[0], shape[1]);
    shape.insert(shape.begin(), static_cast<int64_t>(linears.members.size()));
    const DType dtype = ir::to_dtype(parameter->dtype());
    if (planned.parameters.empty()) {
      planned.tensor.dtype = dtype;
      planned.tensor.shape = std::move(shape);
    } else if (planned.tensor.dtype != dtype || planned.tensor.shape != shape) {
      return std::nullopt;
    }
    planned.parameters.push_back(ir::join_path(member, name));
  }
  if (planned.parameters.empty()) return std::nullopt;
  return planned;
}

using LayersByPath = std::unordered_map<std::string_view, const PlannedLayer*>;

LayersByPath by_path(const std::vector<PlannedLayer>& layers) {
  LayersByPath found;
  for (const PlannedLayer& layer : layers) found.emplace(layer.scheme.path, &layer);
  return found;
}

}  // namespace

bool is_shared(const StoredPart& part) {
  return part.shape == PartShape::kScalar || part.shape == PartShape::kOne;
}

io::TensorSpec fused_tensor(const FusedPlace& place, const StoredPart& part, io::TensorSpec one) {
  one.name = fused_name(place, part);
  if (is_shared(part)) return one;
  std::vector<int64_t>& shape = one.shape;
  if (place.layout == ExpertLayout::kBlocks && part.part == LayerPart::kWeight) {
    constexpr int64_t kBlockBytes = 16;
    shape = {shape.at(0), shape.at(1) / kBlockBytes, kBlockBytes};
  }
  if (part.shape == PartShape::kBlocks4d && shape.empty()) shape = {1, 1, 1, 1};
  if (place.layout == ExpertLayout::kTransposed && shape.size() == 2) std::swap(shape[0], shape[1]);
  shape.insert(shape.begin(), place.experts);
  return one;
}

std::unordered_map<std::string, FusedPlace> fused_places(const ir::Model& model,
                                                         ExpertLayout layout) {
  std::unordered_map<std::string, FusedPlace> places;
  for (const ir::FusedLinears& linears : model.fused) {
    FusedPlace place{.path = linears.path,
                     .experts = static_cast<int64_t>(linears.members.size()),
                     .layout = layout};
    place.has_bias =
        !linears.members.empty() &&
        (model.root->find_parameter(ir::join_path(linears.members.front(), "bias")) != nullptr ||
         model.root->find_parameter(linears.path + "_bias") != nullptr);
    for (const std::string& member : linears.members) {
      places.emplace(member, place);
      ++place.expert;
    }
  }
  return places;
}

std::vector<FusedTensor> plan_fused_tensors(const ir::Model& model,
                                            const std::vector<PlannedLayer>& layers) {
  if (model.fused.empty()) return {};
  const LayersByPath quantized = by_path(layers);
  std::vector<FusedTensor> tensors;
  for (const ir::FusedLinears& linears : model.fused) {
    bool any_quantized = false;
    bool apart = false;
    for (const std::string& member : linears.members) {
      const auto layer = quantized.find(member);
      if (layer == quantized.end()) continue;
      any_quantized = true;
      apart |= !layer->second->place || !layer->second->place->is_fused();
    }
    if (apart) continue;
    if (!any_quantized) {
      auto weights = plain_tensor(model, linears, "weight", linears.path);
      if (!weights) continue;
      tensors.push_back(std::move(*weights));
    }
    if (auto biases = plain_tensor(model, linears, "bias", linears.path + "_bias"))
      tensors.push_back(std::move(*biases));
  }
  return tensors;
}

std::vector<std::string> fused_problems(const ir::Model& model,
                                        const std::vector<PlannedLayer>& layers) {
  if (model.fused.empty()) return {};
  const LayersByPath quantized = by_path(layers);
  std::map<std::string, std::string_view> storage_of;  // by module
  std::vector<std::string> problems;
  for (const ir::FusedLinears& linears : model.fused) {
    const PlannedLayer* first = nullptr;
    size_t count = 0;
    bool alike = true;
    for (const std::string& member : linears.members) {
      const auto found = quantized.find(member);
      if (found == quantized.end()) continue;
      const PlannedLayer& layer = *found->second;
      if (!layer.place || !layer.place->is_fused()) break;
      if (count++ == 0) first = &layer;
      alike &= layer.storage.name == first->storage.name &&
               layer.scheme.weight.block == first->scheme.weight.block;
    }
    if (first == nullptr) continue;
    if (!alike || count != linears.members.size()) {
      problems.push_back(
          fmt::format("{}: one tensor holds all {} experts, which must be quantized alike or not "
                      "at all: give them one format",
                      linears.path, linears.members.size()));
      continue;
    }
    const auto [other, added] = storage_of.emplace(first->place->module(), first->storage.name);
    if (!added && other->second != first->storage.name)
      problems.push_back(
          fmt::format("{}: it is {}, and the experts' other tensor is {}: give them "
                      "one format",
                      linears.path, first->storage.name, other->second));
  }
  return problems;
}

}  // namespace lathe::exporting
