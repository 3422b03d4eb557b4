#include "frontends/torch_export/parameters.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <fmt/ranges.h>

#include <cstring>
#include <map>

#include "base/checked.h"
#include "frontends/tensor_store.h"
#include "ir/scalar_types.h"

namespace lathe::frontends::torch_export {
namespace {

/// The view's values where they lie, or a copy if they are not aligned to their elements.
at::Tensor map_view(const StoredView& view) {
  const at::ScalarType dtype = ir::to_scalar_type(view.dtype);
  if (*checked_numel(view.sizes) == 0) return at::zeros(view.sizes, dtype);
  const size_t start = static_cast<size_t>(view.offset) * dtype_size(view.dtype);
  const std::span<const std::byte> bytes = view.storage.view.subspan(start);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % dtype_size(view.dtype) != 0) {
    const at::Tensor copy = at::zeros({static_cast<int64_t>(bytes.size())}, at::kByte);
    std::memcpy(copy.mutable_data_ptr(), bytes.data(), bytes.size());
    return at::from_blob(
               copy.mutable_data_ptr(), view.sizes, view.strides, [copy](void*) {}, dtype)
        .clone();
  }
  // LibTorch has no tensors of const memory.
  return at::from_blob(
      const_cast<std::byte*>(bytes.data()), view.sizes, view.strides,
      [owner = view.storage.owner](void*) {}, dtype);
}

std::string memory_key(const StoredView& view) {
  return fmt::format("{}/{}/{}/{}/{}", view.storage_id, dtype_name(view.dtype), view.offset,
                     fmt::join(view.sizes, ","), fmt::join(view.strides, ","));
}

}  // namespace

Parameters::Parameters(const Archive& archive, const std::unordered_set<std::string>& writable,
                       std::optional<at::ScalarType> dtype) {
  std::unordered_set<std::string> written_memory;
  for (const auto* list : {&archive.weights, &archive.constants}) {
    for (const StoredView& view : *list) {
      if (writable.contains(view.name)) written_memory.insert(memory_key(view));
    }
  }
  for (const auto* list : {&archive.weights, &archive.constants}) {
    for (const StoredView& view : *list)
      add(view, list == &archive.weights, written_memory.contains(memory_key(view)), dtype);
  }
}

void Parameters::add(const StoredView& view, bool saved, bool writable,
                     std::optional<at::ScalarType> dtype) {
  if (index_.contains(view.name)) return;  // a persistent buffer may be listed as a constant too
  ir::ParameterPtr& parameter = by_memory_[memory_key(view)];
  if (!parameter) {
    const at::ScalarType stored = ir::to_scalar_type(view.dtype);
    const at::ScalarType wanted = dtype && is_plain_float(stored) ? *dtype : stored;
    parameter = std::make_shared<ir::Parameter>(wanted, view.sizes, [view, wanted, writable] {
      const at::Tensor mapped = map_view(view);
      return mapped.scalar_type() != wanted ? mapped.to(wanted)
             : writable                     ? mapped.clone()
                                            : mapped;
    });
  }
  index_.emplace(view.name, entries_.size());
  names_[parameter.get()].push_back(view.name);
  entries_.push_back({view.name, parameter, saved});
}

ir::ParameterPtr Parameters::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : entries_[found->second].parameter;
}

std::vector<std::string> Parameters::names_of(const std::string& name) const {
  const ir::ParameterPtr parameter = find(name);
  if (!parameter) return {};
  std::vector<std::string> names = {name};
  for (const std::string& other : names_.at(parameter.get())) {
    if (other != name) names.push_back(other);
  }
  return names;
}

std::vector<std::pair<std::string, std::string>> Parameters::tied() const {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const Entry& entry : entries_) {
    const std::string& first = names_.at(entry.parameter.get()).front();
    if (entry.saved && first != entry.name) pairs.emplace_back(entry.name, first);
  }
  return pairs;
}

at::ScalarType Parameters::dominant_dtype() const {
  std::map<at::ScalarType, int64_t> bytes;
  for (const Entry& entry : entries_) {
    if (entry.saved && is_plain_float(entry.parameter->dtype()))
      bytes[entry.parameter->dtype()] += entry.parameter->bytes();
  }
  at::ScalarType best = at::kFloat;
  for (const auto& [dtype, size] : bytes) {
    if (size > bytes[best]) best = dtype;
  }
  return best;
}

}  // namespace lathe::frontends::torch_export
