#include "export/hf_checkpoint/tensor_plan.h"

#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "ir/scalar_types.h"

namespace lathe::exporting {
namespace {

std::string_view parent_path(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == path.npos ? std::string_view() : path.substr(0, dot);
}

size_t bytes_of(const io::TensorSpec& tensor) {
  size_t bytes = dtype_size(tensor.dtype);
  for (const int64_t size : tensor.shape) bytes *= static_cast<size_t>(size);
  return bytes;
}

/// Sorts tensors into units, which come in the order of their first tensor.
class UnitSorter {
 public:
  explicit UnitSorter(const ir::Model& model) {
    for (const auto& [path, module] : ir::named_modules(*model.root)) {
      if (module->is_block) blocks_.insert(path);
    }
    joins_ = blocks_.empty() && !model.has_graph();
  }

  /// `module`: the module that the tensor belongs to. Tensors of one module come one after another.
  void add(std::string_view module, io::TensorSpec tensor) {
    const std::string_view name = unit_of(module, tensor.name);
    if (joins_) {
      begin_unless_small(name);
      bytes_ += bytes_of(tensor);
    } else if (units_.empty() || units_[last_].unit != name) {
      last_ = index_of(name);
    }
    units_[last_].tensors.push_back(std::move(tensor));
  }

  std::vector<UnitTensors> take() { return std::move(units_); }

 private:
  /// Each unit is synced to the disk: modules outside of blocks are joined to units that are large
  /// enough, but not of so many tensors that resuming starts from nothing.
  static constexpr size_t kSmallestUnit = size_t{64} << 20;
  static constexpr size_t kMostTensors = 8192;

  /// A unit has the name of its first module.
  void begin_unless_small(std::string_view name) {
    const bool is_full =
        units_.empty() || bytes_ >= kSmallestUnit || units_[last_].tensors.size() >= kMostTensors;
    if (is_full && module_ != name) {
      last_ = units_.size();
      units_.push_back({std::string(name), {}});
      bytes_ = 0;
    }
    module_ = name;
  }

  size_t index_of(std::string_view name) {
    const auto [place, added] = index_.emplace(name, units_.size());
    if (added) units_.push_back({std::string(name), {}});
    return place->second;
  }

  /// The outermost block around the module, else the module; a parameter of the root is alone.
  std::string_view unit_of(std::string_view module, std::string_view tensor) const {
    for (size_t dot = blocks_.empty() ? module.npos : module.find('.'); dot != module.npos;
         dot = module.find('.', dot + 1)) {
      const std::string_view prefix = module.substr(0, dot);
      if (blocks_.contains(std::string(prefix))) return prefix;
    }
    return module.empty() ? tensor : module;
  }

  std::unordered_set<std::string> blocks_;
  bool joins_;
  std::unordered_map<std::string, size_t> index_;  // of units that are not joined
  std::vector<UnitTensors> units_;
  size_t last_ = 0;   // that the latest tensor went to
  size_t bytes_ = 0;  // of a joined unit
  std::string module_;
};

}  // namespace

std::vector<UnitTensors> plan_unit_tensors(const ir::Model& model,
                                           const std::vector<PlannedLayer>& layers,
                                           const std::vector<FusedTensor>& fused,
                                           const std::vector<PlannedCache>& caches) {
  std::unordered_map<std::string_view, const PlannedLayer*> by_path;
  by_path.reserve(layers.size());
  for (const PlannedLayer& layer : layers) by_path.emplace(layer.scheme.path, &layer);
  std::unordered_map<std::string_view, const FusedTensor*> fused_of;
  for (const FusedTensor& tensor : fused) {
    for (const std::string& name : tensor.parameters) fused_of.emplace(name, &tensor);
  }
  std::unordered_set<std::string_view> tied;
  for (const auto& [name, kept] : model.tied) tied.insert(name);

  UnitSorter units(model);
  for (const auto& [name, parameter] : ir::named_parameters(*model.root)) {
    if (tied.contains(name)) continue;
    if (const auto whole = fused_of.find(name); whole != fused_of.end()) {
      const FusedTensor& tensor = *whole->second;
      if (name == tensor.parameters.front()) units.add(tensor.module, tensor.tensor);
      continue;
    }
    const auto quantized = by_path.find(layer_of_weight(name));
    if (quantized == by_path.end()) {
      units.add(parent_path(name), {name, ir::to_dtype(parameter->dtype()), parameter->shape()});
      continue;
    }
    const PlannedLayer& layer = *quantized->second;
    if (layer.is_fused() && layer.place->expert > 0) continue;
    const std::string module =
        layer.is_fused() ? layer.place->module() : std::string(parent_path(name));
    for (io::TensorSpec& tensor : layer.tensors()) units.add(module, std::move(tensor));
  }
  for (const PlannedCache& cache : caches) {
    for (const io::TensorSpec& tensor : cache.tensors())
      units.add(parent_path(tensor.name), tensor);
  }
  return units.take();
}

}  // namespace lathe::exporting
