#include "frontends/huggingface/expert_weights.h"

#include <ATen/core/Tensor.h>

#include "base/error.h"
#include "frontends/huggingface/weights.h"

namespace lathe::frontends {
namespace {

using Shape = std::vector<int64_t>;
using Read = std::function<at::Tensor(at::ScalarType)>;

void check_shape(const StoredTensor& tensor, const Shape& shape) {
  if (tensor.shape == shape) return;
  throw_data("{}: {} is {}, expected {}", tensor.file, tensor.name, shape_text(tensor.shape),
             shape_text(shape));
}

/// Cuts the fused tensors of one layer.
class Splitter {
 public:
  Splitter(const std::string& path, const ExpertsConfig& experts, int64_t hidden_size,
           TensorStore& store)
      : path_(path), experts_(experts), hidden_(hidden_size), store_(store) {}

  void split() {
    if (experts_.interleaved) {
      split_transposed("gate_up_proj", 2 * experts_.size, hidden_);
      split_transposed("down_proj", hidden_, experts_.size);
    } else {
      split_gate_and_up();
      split_down();
    }
  }

 private:
  std::string fused_name(const std::string& name) const { return path_ + "." + name; }
  std::string own_name(int64_t expert, const std::string& rest) const {
    return fmt::format("{}.{}.{}", path_, expert, rest);
  }

  /// A tensor of one expert: `cut` gives its piece of the fused one.
  StoredTensor part(const StoredTensor& fused, std::string name, Shape shape,
                    std::function<at::Tensor(const at::Tensor&)> cut) const {
    const auto read = [fused = fused.read, stored = fused.dtype,
                       cut = std::move(cut)](at::ScalarType dtype) {
      return cut(fused(stored)).to(dtype).contiguous();
    };
    return {std::move(name), fused.dtype, std::move(shape), fused.file, read, {}};
  }

  void split_gate_and_up() {
    const StoredTensor* fused = store_.find(fused_name("gate_up_proj"));
    if (fused == nullptr) return;
    const int64_t size = experts_.size;
    check_shape(*fused, {experts_.num_experts, 2 * size, hidden_});
    std::vector<StoredTensor> parts;
    for (int64_t e = 0; e < experts_.num_experts; ++e) {
      for (const bool up : {false, true}) {
        const int64_t begin = up ? size : 0;
        parts.push_back(part(*fused,
                             own_name(e, (up ? experts_.up_name : experts_.gate_name) + ".weight"),
                             {size, hidden_}, [e, begin, size](const at::Tensor& all) {
                               return all.select(0, e).narrow(0, begin, size);
                             }));
      }
    }
    store_.split(fused->name, std::move(parts));
  }

  void split_down() {
    const StoredTensor* fused = store_.find(fused_name("down_proj"));
    if (fused == nullptr) return;
    check_shape(*fused, {experts_.num_experts, hidden_, experts_.size});
    std::vector<StoredTensor> parts;
    for (int64_t e = 0; e < experts_.num_experts; ++e) {
      parts.push_back(part(*fused, own_name(e, experts_.down_name + ".weight"),
                           {hidden_, experts_.size},
                           [e](const at::Tensor& all) { return all.select(0, e); }));
    }
    store_.split(fused->name, std::move(parts));
  }

  /// NAME [E, in, out] to weights [out, in], NAME_bias [E, out] to biases.
  void split_transposed(const std::string& name, int64_t out, int64_t in) {
    if (const StoredTensor* fused = store_.find(fused_name(name))) {
      check_shape(*fused, {experts_.num_experts, in, out});
      std::vector<StoredTensor> parts;
      for (int64_t e = 0; e < experts_.num_experts; ++e) {
        parts.push_back(part(*fused, own_name(e, name + ".weight"), {out, in},
                             [e](const at::Tensor& all) { return all.select(0, e).t(); }));
      }
      store_.split(fused->name, std::move(parts));
    }
    if (const StoredTensor* fused = store_.find(fused_name(name + "_bias"))) {
      check_shape(*fused, {experts_.num_experts, out});
      std::vector<StoredTensor> parts;
      for (int64_t e = 0; e < experts_.num_experts; ++e) {
        parts.push_back(part(*fused, own_name(e, name + ".bias"), {out},
                             [e](const at::Tensor& all) { return all.select(0, e); }));
      }
      store_.split(fused->name, std::move(parts));
    }
  }

  const std::string& path_;
  const ExpertsConfig& experts_;
  int64_t hidden_;
  TensorStore& store_;
};

}  // namespace

void split_fused_experts(const std::string& path, const ExpertsConfig& experts, int64_t hidden_size,
                         TensorStore& store) {
  Splitter(path, experts, hidden_size, store).split();
}

ir::FusedLinears fused_linears(const std::string& path, const std::string& name, int64_t count) {
  ir::FusedLinears fused{.path = fmt::format("{}.{}", path, name), .members = {}};
  for (int64_t e = 0; e < count; ++e)
    fused.members.push_back(fmt::format("{}.{}.{}", path, e, name));
  return fused;
}

void split_transposed_experts(const std::string& path, TensorStore& store) {
  const std::vector<int64_t> shape = store.find(path + ".down_proj")->shape;
  const ExpertsConfig experts{.num_experts = shape[0], .size = shape[1], .interleaved = true};
  Splitter(path, experts, shape[2], store).split();
  for (const char* name : {"gate_up_proj", "down_proj"})
    store.fuse(fused_linears(path, name, shape[0]));
}

}  // namespace lathe::frontends
