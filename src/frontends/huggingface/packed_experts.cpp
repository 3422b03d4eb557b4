#include "frontends/huggingface/packed_experts.h"

#include <ATen/core/Tensor.h>

#include <array>

#include "base/error.h"
#include "frontends/huggingface/expert_weights.h"
#include "frontends/huggingface/weights.h"

namespace lathe::frontends {
namespace {

constexpr std::string_view kScale = "_weight_scale";
/// What stands behind the name in all tensors but that of the codes.
constexpr std::array<std::string_view, 4> kParts = {"weight_scale", "weight_scale_2", "input_scale",
                                                    "pre_quant_scale"};
constexpr int64_t kMostExperts = 1 << 14;

/// The piece of expert `e`: of matrices the transposed one.
StoredTensor piece(const StoredTensor& fused, std::string name, int64_t e) {
  StoredTensor one{.name = std::move(name),
                   .dtype = fused.dtype,
                   .shape = fused.shape,
                   .file = fused.file,
                   .read = fused.read,
                   .sources = {}};
  if (fused.shape.empty()) return one;
  one.shape.erase(one.shape.begin());
  const bool turned = one.shape.size() == 2;
  if (turned) std::swap(one.shape[0], one.shape[1]);
  one.read = [read = fused.read, stored = fused.dtype, e, turned](at::ScalarType dtype) {
    const at::Tensor own = read(stored).select(0, e);
    const at::Tensor whole = (turned ? own.t() : own).contiguous();
    return dtype == stored ? whole : whole.to(dtype);
  };
  return one;
}

class ExpertSplitter {
 public:
  ExpertSplitter(TensorStore& store, std::vector<std::string>& problems)
      : store_(store), problems_(problems) {}

  PackedExperts split() {
    std::vector<std::string> names;  // splitting changes the store
    for (const StoredTensor* tensor : store_.tensors()) {
      if (!tensor->name.ends_with(kScale)) continue;
      const std::string name = tensor->name.substr(0, tensor->name.size() - kScale.size());
      const StoredTensor* codes = store_.find(name);
      const size_t dot = name.rfind('.');
      if (codes != nullptr && codes->shape.size() == 3 && dot != name.npos && dot > 0)
        names.push_back(name);
    }
    for (const std::string& name : names) split_one(name);
    return std::move(experts_);
  }

 private:
  void fail(const StoredTensor& tensor, const std::string& what) {
    problems_.push_back(fmt::format("{}: {} {}", tensor.file, tensor.name, what));
  }

  /// Whether all tensors have as many experts.
  bool check(const std::vector<std::string>& tensors, int64_t count) {
    if (count < 1 || count > kMostExperts) {
      fail(*store_.find(tensors[0]),
           fmt::format("has {} experts, expected 1 to {}", count, kMostExperts));
      return false;
    }
    for (const std::string& name : tensors) {
      const StoredTensor& tensor = *store_.find(name);
      if (tensor.shape.empty() || tensor.shape[0] == count) continue;
      fail(tensor, fmt::format("is {}, but {} has {} experts", shape_text(tensor.shape), tensors[0],
                               count));
      return false;
    }
    return true;
  }

  void split_one(const std::string& fused) {
    const size_t dot = fused.rfind('.');
    const std::string module = fused.substr(0, dot);
    const std::string name = fused.substr(dot + 1);
    std::vector<std::string> tensors = {fused};
    std::vector<std::string_view> parts = {"weight"};
    for (const std::string_view part : kParts) {
      if (store_.find(fmt::format("{}_{}", fused, part)) == nullptr) continue;
      tensors.push_back(fmt::format("{}_{}", fused, part));
      parts.push_back(part);
    }
    const int64_t count = store_.find(fused)->shape[0];
    if (!check(tensors, count)) return;
    const ir::FusedLinears linears = fused_linears(module, name, count);
    for (const std::string& path : linears.members) {
      if (store_.find(path + ".weight") != nullptr)
        return fail(*store_.find(fused),
                    fmt::format("stands for {}.weight, which is there too", path));
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
      const StoredTensor& whole = *store_.find(tensors[i]);
      std::vector<StoredTensor> pieces;
      for (int64_t e = 0; e < count; ++e)
        pieces.push_back(piece(
            whole, fmt::format("{}.{}", linears.members[static_cast<size_t>(e)], parts[i]), e));
      store_.split(tensors[i], std::move(pieces));
    }
    for (const std::string& path : linears.members) experts_[path] = {module, tensors};
    store_.fuse(linears);
  }

  TensorStore& store_;
  std::vector<std::string>& problems_;
  PackedExperts experts_;
};

}  // namespace

PackedExperts split_packed_experts(TensorStore& store, std::vector<std::string>& problems) {
  return ExpertSplitter(store, problems).split();
}

}  // namespace lathe::frontends
