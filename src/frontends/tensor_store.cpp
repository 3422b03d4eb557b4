#include "frontends/tensor_store.h"

#include <iterator>
#include <map>

#include "base/error.h"

namespace lathe::frontends {

size_t TensorStore::add_source(std::string name, ir::ParameterPtr parameter) {
  sources_.push_back({std::move(name), {}, {}, std::move(parameter)});
  return sources_.size() - 1;
}

void TensorStore::add(StoredTensor tensor) {
  const auto& stored = tensors_.emplace_back(std::make_shared<StoredTensor>(std::move(tensor)));
  const bool added = index_.emplace(stored->name, tensors_.size() - 1).second;
  check_internal(added, "tensor {} was added twice", stored->name);
}

void TensorStore::replace(const std::vector<std::string>& names, StoredTensor tensor) {
  check_internal(!names.empty(), "{} replaces nothing", tensor.name);
  const size_t place = index_.at(names.front());
  tensor.sources.clear();
  tensor.stored = nullptr;
  for (const std::string& name : names) {
    for (size_t source : take_out(name)) tensor.sources.push_back(source);
  }
  const auto& stored = tensors_[place] = std::make_shared<StoredTensor>(std::move(tensor));
  check_internal(index_.emplace(stored->name, place).second, "tensor {} was added twice",
                 stored->name);
}

void TensorStore::split(const std::string& name, std::vector<StoredTensor> parts) {
  const std::vector<size_t> sources = take_out(name);
  for (StoredTensor& part : parts) {
    part.sources = sources;
    part.stored = nullptr;
    add(std::move(part));
  }
}

void TensorStore::drop(const std::string& name, const std::string& reason) {
  for (size_t source : take_out(name)) sources_[source].dropped = reason;
}

std::vector<size_t> TensorStore::take_out(const std::string& name) {
  const auto found = index_.find(name);
  check_internal(found != index_.end(), "tensor {} is not in the store", name);
  std::vector<size_t> sources = std::move(tensors_[found->second]->sources);
  const size_t place = found->second;
  index_.erase(found);  // its key is the name
  tensors_[place].reset();
  return sources;
}

std::shared_ptr<const StoredTensor> TensorStore::share(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : tensors_[found->second];
}

std::vector<const StoredTensor*> TensorStore::tensors() const {
  std::vector<const StoredTensor*> present;
  present.reserve(size());
  for (const auto& tensor : tensors_) {
    if (tensor != nullptr) present.push_back(tensor.get());
  }
  return present;
}

std::vector<std::shared_ptr<const StoredTensor>> TensorStore::take_tensors() {
  index_.clear();
  std::erase(tensors_, nullptr);
  std::vector<std::shared_ptr<const StoredTensor>> taken(std::make_move_iterator(tensors_.begin()),
                                                         std::make_move_iterator(tensors_.end()));
  tensors_.clear();
  return taken;
}

void TensorStore::fuse(ir::FusedLinears linears) {
  if (fused_paths_.insert(linears.path).second) fused_.push_back(std::move(linears));
}

void TensorStore::mark_used(const StoredTensor& tensor, const std::string& path) {
  for (size_t index : tensor.sources) {
    ir::SourceTensor& source = sources_[index];
    if (!source.path.empty()) {
      if (source.pieces.empty()) source.pieces.push_back(source.path);
      source.pieces.push_back(path);
    }
    source.path = path;
  }
}

ir::ParameterPtr make_parameter(const StoredTensor& tensor, at::ScalarType dtype) {
  return std::make_shared<ir::Parameter>(dtype, tensor.shape,
                                         [read = tensor.read, dtype] { return read(dtype); });
}

bool is_plain_float(at::ScalarType dtype) {
  return dtype == at::kDouble || dtype == at::kFloat || dtype == at::kHalf ||
         dtype == at::kBFloat16;
}

at::ScalarType dominant_dtype(const TensorStore& store) {
  std::map<at::ScalarType, double> bytes;
  for (const StoredTensor* tensor : store.tensors()) {
    if (!is_plain_float(tensor->dtype)) continue;
    double size = static_cast<double>(c10::elementSize(tensor->dtype));
    for (int64_t extent : tensor->shape) size *= static_cast<double>(extent);
    bytes[tensor->dtype] += size;
  }
  at::ScalarType best = at::kBFloat16;
  double most = 0;
  for (const auto& [dtype, size] : bytes) {
    if (size > most) {
      best = dtype;
      most = size;
    }
  }
  return best;
}

}  // namespace lathe::frontends
