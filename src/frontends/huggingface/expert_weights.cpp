#include "frontends/huggingface/expert_weights.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "base/error.h"
#include "formats/format.h"
#include "frontends/huggingface/weights.h"
#include "ir/scalar_types.h"
#include "kernels/kernels.h"

namespace lathe::frontends {
namespace {

using Shape = std::vector<int64_t>;
using Read = std::function<at::Tensor(at::ScalarType)>;

void check_shape(const StoredTensor& tensor, const Shape& shape) {
  if (tensor.shape == shape) return;
  throw_data("{}: {} is {}, expected {}", tensor.file, tensor.name, shape_text(tensor.shape),
             shape_text(shape));
}

void check_dtype(const StoredTensor& tensor, bool fits, const char* expected) {
  if (fits) return;
  throw_data("{}: {} has dtype {}, expected {}", tensor.file, tensor.name,
             c10::toString(tensor.dtype), expected);
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
      unpack("gate_up_proj", 2 * experts_.size, hidden_);
      unpack("down_proj", hidden_, experts_.size);
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

  /// NAME_blocks and NAME_scales: MXFP4 (OCP microscaling, blocks of 32), two codes a byte.
  void unpack(const std::string& name, int64_t out, int64_t in) {
    const StoredTensor* blocks = store_.find(fused_name(name + "_blocks"));
    if (blocks == nullptr) return;
    const StoredTensor* scales = store_.find(fused_name(name + "_scales"));
    if (scales == nullptr) {
      throw_data("{}: {} is packed, but {}_scales is missing", blocks->file, blocks->name,
                 fused_name(name));
    }
    constexpr int64_t kBlock = 32;
    if (in % kBlock != 0) throw_data("{}: {} has rows of {}", blocks->file, blocks->name, in);
    const int64_t count = in / kBlock;
    check_shape(*blocks, {experts_.num_experts, out, count, kBlock / 2});
    check_shape(*scales, {experts_.num_experts, out, count});
    check_dtype(*blocks, blocks->dtype == at::kByte, "uint8");
    check_dtype(*scales, scales->dtype == at::kByte, "uint8");
    std::vector<StoredTensor> parts;
    for (int64_t e = 0; e < experts_.num_experts; ++e) {
      const auto read = [codes = blocks->read, exponents = scales->read, e, out,
                         in](at::ScalarType dtype) {
        return decode(codes(at::kByte).select(0, e), exponents(at::kByte).select(0, e), out, in,
                      dtype);
      };
      parts.push_back(
          {own_name(e, name + ".weight"), at::kBFloat16, {out, in}, blocks->file, read, {}});
    }
    const std::string scale_name = scales->name;
    store_.split(blocks->name, std::move(parts));
    store_.drop(scale_name, "decoded into the weights of the experts");
  }

  static at::Tensor decode(const at::Tensor& codes, const at::Tensor& exponents, int64_t rows,
                           int64_t cols, at::ScalarType dtype) {
    const at::Tensor value = at::empty({rows, cols}, dtype);
    const formats::ScalesView scales{
        .kind = formats::ScaleKind::kE8M0,
        .codes = {exponents.const_data_ptr<uint8_t>(), static_cast<size_t>(exponents.numel())},
        .global_scale = 1.0f};
    kernels::decode(formats::kMxfp4,
                    {static_cast<const std::byte*>(codes.const_data_ptr()), codes.nbytes()},
                    formats::Packing::kNibbles, scales,
                    {value.mutable_data_ptr(), ir::to_dtype(dtype), rows, cols});
    return value;
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

}  // namespace lathe::frontends
