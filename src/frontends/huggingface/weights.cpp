#include "frontends/huggingface/weights.h"

#include <ATen/ops/equal.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/error.h"
#include "frontends/problem_list.h"

namespace lathe::frontends {
namespace {

/// Buffers that old versions of transformers saved and that are computed anew.
bool is_leftover(std::string_view name) {
  constexpr std::array<std::string_view, 6> kEnds = {
      "rotary_emb.inv_freq",    ".attn.bias",
      ".attn.masked_bias",      ".attention.bias",
      ".attention.masked_bias", "embeddings.position_ids"};
  return std::any_of(kEnds.begin(), kEnds.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

Weights::Weights(TensorStore& store, at::ScalarType dtype, std::string source_name)
    : store_(&store), dtype_(dtype), source_name_(std::move(source_name)) {}

ir::ParameterPtr Weights::missing(const std::vector<int64_t>& shape) const {
  return std::make_shared<ir::Parameter>(
      dtype_, shape, []() -> at::Tensor { throw_internal("a missing tensor was read"); });
}

ir::ParameterPtr Weights::take(const std::string& path, const std::vector<int64_t>& shape) {
  return take_as(path, shape, dtype_);
}

ir::ParameterPtr Weights::take_as_stored(const std::string& path,
                                         const std::vector<int64_t>& shape) {
  return take_as(path, shape, std::nullopt);
}

ir::ParameterPtr Weights::take_as(const std::string& path, const std::vector<int64_t>& shape,
                                  std::optional<at::ScalarType> dtype) {
  const StoredTensor* tensor = store_->find(path);
  if (tensor == nullptr) {
    problems_.push_back(fmt::format("{} is missing, expected {}", path, shape_text(shape)));
    return missing(shape);
  }
  taken_.push_back(path);
  if (tensor->shape != shape) {
    problems_.push_back(fmt::format("{}: {} is {}, expected {}", tensor->file, path,
                                    shape_text(tensor->shape), shape_text(shape)));
    return missing(shape);
  }
  if (!is_plain_float(tensor->dtype)) {
    problems_.push_back(fmt::format("{}: {} has dtype {}, expected floating point", tensor->file,
                                    path, c10::toString(tensor->dtype)));
    return missing(shape);
  }
  store_->mark_used(*tensor, path);
  return make_parameter(*tensor, dtype.value_or(tensor->dtype));
}

std::vector<std::pair<std::string, ir::ParameterPtr>> Weights::take_below(
    const std::string& prefix) {
  std::vector<std::pair<std::string, ir::ParameterPtr>> found;
  for (const StoredTensor* tensor : store_->tensors()) {
    if (!tensor->name.starts_with(prefix + ".")) continue;
    taken_.push_back(tensor->name);
    store_->mark_used(*tensor, tensor->name);
    found.emplace_back(tensor->name.substr(prefix.size() + 1),
                       make_parameter(*tensor, tensor->dtype));
  }
  return found;
}

void Weights::check_count(const char* key, int64_t count) const {
  const auto tensors = static_cast<int64_t>(store_->size());
  if (count <= tensors) return;
  throw_data("{}: {} is {}, but there are only {} tensors", source_name_, key, count, tensors);
}

bool Weights::tie(const std::string& tied_path, const std::string& path) {
  const StoredTensor* tied = store_->find(tied_path);
  if (tied == nullptr) return true;
  const StoredTensor* owner = store_->find(path);
  if (owner == nullptr) {
    StoredTensor renamed = *tied;
    renamed.name = path;
    store_->replace({tied_path}, std::move(renamed));
    return true;
  }
  if (owner->shape != tied->shape || owner->dtype != tied->dtype ||
      !at::equal(owner->read(owner->dtype), tied->read(tied->dtype))) {
    return false;
  }
  store_->drop(tied_path, fmt::format("equal to {}, to which it is tied", path));
  return true;
}

void Weights::rename(const std::function<std::string(const std::string&)>& renamed) {
  for (const StoredTensor* tensor : store_->tensors()) {
    const std::string name = tensor->name;
    std::string other = renamed(name);
    if (other == name || store_->find(other) != nullptr) continue;
    StoredTensor copy = *tensor;
    copy.name = std::move(other);
    store_->replace({name}, std::move(copy));
  }
}

void Weights::add_prefix(const std::string& prefix, const std::string& probe) {
  if (store_->find(probe) == nullptr || store_->find(prefix + probe) != nullptr) return;
  rename([&](const std::string& name) { return prefix + name; });
}

void Weights::drop(const std::string& path, const std::string& reason) {
  if (has(path)) store_->drop(path, reason);
}

void Weights::drop_leftovers(const std::unordered_set<std::string>& taken) {
  for (const StoredTensor* tensor : store_->tensors()) {
    if (!is_leftover(tensor->name) || taken.contains(tensor->name)) continue;
    store_->drop(std::string(tensor->name), "computed from the config");
  }
}

void Weights::finish() {
  const std::unordered_set<std::string> taken(taken_.begin(), taken_.end());
  drop_leftovers(taken);
  for (const StoredTensor* tensor : store_->tensors()) {
    if (taken.contains(tensor->name)) continue;
    problems_.push_back(fmt::format("{}: {} {} belongs to no parameter of the model", tensor->file,
                                    tensor->name, shape_text(tensor->shape)));
  }
  if (problems_.empty()) return;
  throw_data("{}: the tensors do not fit the config:{}", source_name_, problem_list(problems_));
}

}  // namespace lathe::frontends
