#include "frontends/huggingface/packed_weight.h"

#include <ATen/ops/empty.h>

#include <cmath>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "frontends/huggingface/weights.h"
#include "ir/scalar_types.h"
#include "kernels/kernels.h"

namespace lathe::frontends {
namespace {

using formats::ScaleKind;

std::span<const std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// Gathers the tensors of one Linear and what is wrong with them.
class LinearReader {
 public:
  LinearReader(const std::string& path, const QuantAlgo& algo, const TensorStore& store,
               std::vector<std::string>& problems)
      : path_(path), algo_(algo), store_(store), problems_(problems) {}

  std::optional<QuantizedLinear> read(std::optional<int64_t> group_size) {
    const size_t before = problems_.size();
    weight_ = required("weight");
    scale_ = required("weight_scale");
    const auto scale_2 = expected("weight_scale_2", algo_.has_weight_scale_2);
    const auto input_scale = algo_.may_have_input_scale
                                 ? find("input_scale")
                                 : expected("input_scale", algo_.has_input_scale);
    QuantizedLinear linear{.path = path_,
                           .quant_algo = std::string(algo_.name),
                           .weight_format = algo_.weight,
                           .input_format = algo_.input};
    if (scale_2 != nullptr) global_scale_ = read_scalar(*scale_2, problems_).value_or(1.0f);
    if (scale_2 != nullptr && algo_.weight.then_fp8 && global_scale_ == 0)
      fail(*scale_2, "is 0, expected above 0");
    if (input_scale != nullptr) linear.input_scale = read_scalar(*input_scale, problems_);
    if (linear.input_scale && *linear.input_scale == 0)
      fail(*input_scale, "is 0, expected above 0");
    if (weight_ != nullptr && scale_ != nullptr && check_weight()) check_scale(group_size, linear);
    if (weight_ != nullptr) linear.pre_quant_scale = pre_quant_scale();
    linear.tensors = std::move(tensors_);
    if (algo_.weight.scale == ScaleKind::kE4M3TwoLevel) linear.global_scale = global_scale_;
    return problems_.size() == before ? std::optional(std::move(linear)) : std::nullopt;
  }

  PackedMatrix packed(const formats::Format& format) const {
    return {.format = format,
            .packing = algo_.packing,
            .rows = rows_,
            .cols = cols_,
            .codes = [weight = weight_] { return weight->read(weight->dtype); },
            .scales = scales(format.scale)};
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  const std::string& file() const { return weight_->file; }

 private:
  std::function<formats::Scales()> scales(ScaleKind kind) const {
    if (kind == ScaleKind::kFloat32) {
      return [scale = scale_, global = global_scale_] {
        formats::Scales scales = read_float_scales(*scale);
        scales.global_scale = global;
        return scales;
      };
    }
    return [scale = scale_, kind, global = global_scale_] {
      const at::Tensor stored = scale->read(scale->dtype);
      const auto* codes = static_cast<const uint8_t*>(stored.const_data_ptr());
      return formats::Scales{.kind = kind,
                             .values = {},
                             .codes = {codes, codes + stored.numel()},
                             .global_scale = global};
    };
  }

  std::string name_of(const char* suffix) const { return ir::join_path(path_, suffix); }

  void fail(const StoredTensor& tensor, const std::string& what) {
    problems_.push_back(fmt::format("{}: {} {}", tensor.file, tensor.name, what));
  }

  std::shared_ptr<const StoredTensor> find(const char* suffix) {
    const auto tensor = store_.share(name_of(suffix));
    if (tensor != nullptr) tensors_.push_back(tensor->name);
    return tensor;
  }

  std::shared_ptr<const StoredTensor> required(const char* suffix) {
    const auto tensor = find(suffix);
    if (tensor == nullptr) {
      problems_.push_back(
          fmt::format("{} is missing, which {} needs", name_of(suffix), algo_.name));
    }
    return tensor;
  }

  std::shared_ptr<const StoredTensor> expected(const char* suffix, bool needed) {
    if (needed) return required(suffix);
    const StoredTensor* tensor = store_.find(name_of(suffix));
    if (tensor != nullptr) fail(*tensor, fmt::format("is not a tensor of {}", algo_.name));
    return nullptr;
  }

  /// The shape [N, K] from that of the packed weight.
  bool check_weight() {
    if (weight_->dtype != ir::to_scalar_type(algo_.weight_dtype)) {
      fail(*weight_, fmt::format("has dtype {}, expected {} for {}", dtype_text(weight_->dtype),
                                 dtype_name(algo_.weight_dtype), algo_.name));
      return false;
    }
    if (weight_->shape.size() != 2 || weight_->shape[0] == 0 || weight_->shape[1] == 0) {
      fail(*weight_, fmt::format("is {}, expected two sizes above 0", shape_text(weight_->shape)));
      return false;
    }
    rows_ = weight_->shape[0] * (algo_.packing == formats::Packing::kNibbleRowPairs ? 2 : 1);
    cols_ = weight_->shape[1] * (algo_.packing == formats::Packing::kNibbles ? 2 : 1);
    if (algo_.packing != formats::Packing::kSixBits) return true;
    cols_ = weight_->shape[1] / 3 * 4;
    if (weight_->shape[1] % 3 == 0) return true;
    fail(*weight_,
         fmt::format("is {}, expected rows of a multiple of 3 bytes", shape_text(weight_->shape)));
    return false;
  }

  void check_scale(std::optional<int64_t> group_size, QuantizedLinear& linear) {
    check_scale_dtype();
    if (algo_.scale_shape == WeightScaleShape::kScalar) {
      read_scalar(*scale_, problems_);
      return;
    }
    if (algo_.scale_shape == WeightScaleShape::kGrid) return check_grid();
    std::vector<int64_t> shape = {rows_};
    if (algo_.scale_shape == WeightScaleShape::kBlocks) {
      const int64_t group = group_size ? *group_size : derived_group_size();
      linear.weight_format.block = {1, group};
      if (linear.input_format && linear.input_format->block == algo_.weight.block) {
        linear.input_format->block = linear.weight_format.block;
      }
      const formats::GridShape grid = formats::grid_shape(linear.weight_format.block, rows_, cols_);
      shape = {grid.rows, grid.cols};
    }
    if (scale_->shape != shape) {
      fail(*scale_, fmt::format("is {}, expected {} for a weight of {} in blocks of {}",
                                shape_text(scale_->shape), shape_text(shape),
                                shape_text({rows_, cols_}), linear.weight_format.block.cols));
    }
  }

  void check_grid() {
    const formats::GridShape grid = formats::grid_shape(algo_.weight.block, rows_, cols_);
    const std::vector<int64_t>& shape = scale_->shape;
    const bool fits = shape == std::vector<int64_t>{grid.rows, grid.cols} ||
                      shape == std::vector<int64_t>{grid.rows, 1, grid.cols, 1} ||
                      (shape.empty() && grid.size() == 1);
    if (fits) return;
    fail(*scale_,
         fmt::format("is {}, expected {} for a weight of {} in blocks of {} x {}",
                     shape_text(shape), shape_text({grid.rows, 1, grid.cols, 1}),
                     shape_text({rows_, cols_}), algo_.weight.block.rows, algo_.weight.block.cols));
  }

  /// From the shapes, where the checkpoint does not say; the usual one if they do not fit.
  int64_t derived_group_size() const {
    const bool fits =
        scale_->shape.size() == 2 && scale_->shape[1] > 0 && cols_ % scale_->shape[1] == 0;
    return fits ? cols_ / scale_->shape[1] : algo_.weight.block.cols;
  }

  void check_scale_dtype() {
    const bool fits = algo_.scale_dtype == DType::kF32
                          ? is_plain_float(scale_->dtype)
                          : scale_->dtype == ir::to_scalar_type(algo_.scale_dtype);
    if (fits) return;
    fail(*scale_, fmt::format("has dtype {}, expected {} for {}", dtype_text(scale_->dtype),
                              dtype_name(algo_.scale_dtype), algo_.name));
  }

  ir::ParameterPtr pre_quant_scale() {
    const StoredTensor* tensor = store_.find(name_of("pre_quant_scale"));
    if (tensor == nullptr) return nullptr;
    if (!algo_.may_have_pre_quant_scale) {
      fail(*tensor, fmt::format("is not a tensor of {}", algo_.name));
      return nullptr;
    }
    tensors_.push_back(tensor->name);
    if (tensor->shape != std::vector<int64_t>{cols_} || !is_plain_float(tensor->dtype)) {
      fail(*tensor, fmt::format("is {} {}, expected floating point [{}]", dtype_text(tensor->dtype),
                                shape_text(tensor->shape), cols_));
      return nullptr;
    }
    return make_parameter(*tensor, tensor->dtype);
  }

  static std::string_view dtype_text(at::ScalarType dtype) {
    return dtype_name(ir::to_dtype(dtype));
  }

  const std::string& path_;
  const QuantAlgo& algo_;
  const TensorStore& store_;
  std::vector<std::string>& problems_;
  std::shared_ptr<const StoredTensor> weight_;
  std::shared_ptr<const StoredTensor> scale_;
  float global_scale_ = 1.0f;
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::vector<std::string> tensors_;
};

}  // namespace

at::Tensor decode(const PackedMatrix& matrix, at::ScalarType dtype) {
  const at::Tensor codes = matrix.codes();
  const formats::Scales scales = matrix.scales();
  at::Tensor value = at::empty({matrix.rows, matrix.cols}, dtype);
  kernels::decode(matrix.format, bytes_of(codes), matrix.packing, scales.view(),
                  {value.mutable_data_ptr(), ir::to_dtype(dtype), matrix.rows, matrix.cols});
  return value;
}

formats::Scales read_float_scales(const StoredTensor& tensor) {
  const at::Tensor dense = tensor.read(at::kFloat).contiguous();
  const float* values = dense.const_data_ptr<float>();
  formats::Scales scales{.kind = ScaleKind::kFloat32, .values = {values, values + dense.numel()}};
  for (float& scale : scales.values) {
    if (scale == 0.0f) scale = 1.0f;
    if (std::isfinite(scale) && scale > 0) continue;
    throw_data("{}: {} holds {}, expected finite numbers above 0", tensor.file, tensor.name, scale);
  }
  return scales;
}

std::optional<float> read_scalar(const StoredTensor& tensor, std::vector<std::string>& problems) {
  const bool is_scalar = tensor.shape.empty() || tensor.shape == std::vector<int64_t>{1};
  if (!is_scalar || !is_plain_float(tensor.dtype)) {
    problems.push_back(fmt::format("{}: {} is {} {}, expected one floating-point number",
                                   tensor.file, tensor.name, dtype_name(ir::to_dtype(tensor.dtype)),
                                   shape_text(tensor.shape)));
    return std::nullopt;
  }
  const float value = tensor.read(at::kFloat).item<float>();
  if (std::isfinite(value) && value >= 0) return value;
  problems.push_back(fmt::format("{}: {} is {}, expected a finite number from 0", tensor.file,
                                 tensor.name, value));
  return std::nullopt;
}

std::optional<QuantizedLinear> decode_linear(const std::string& path, const QuantAlgo& algo,
                                             std::optional<int64_t> group_size,
                                             at::ScalarType dtype, TensorStore& store,
                                             std::vector<std::string>& problems) {
  LinearReader reader(path, algo, store, problems);
  std::optional<QuantizedLinear> linear = reader.read(group_size);
  if (!linear) return linear;
  // Shared by the copies of the function, of which there are many.
  const auto packed = std::make_shared<const PackedMatrix>(reader.packed(linear->weight_format));
  linear->scales = packed->scales;
  const auto read = [packed](at::ScalarType wanted) { return decode(*packed, wanted); };
  store.replace(linear->tensors, {ir::join_path(path, "weight"),
                                  dtype,
                                  {reader.rows(), reader.cols()},
                                  reader.file(),
                                  read,
                                  {}});
  return linear;
}

}  // namespace lathe::frontends
