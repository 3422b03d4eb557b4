#include "frontends/huggingface/compressed_linear.h"

#include <ATen/ops/index_select.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/sub.h>

#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "frontends/huggingface/packed_weight.h"
#include "frontends/huggingface/weights.h"

namespace lathe::frontends {
namespace {

using formats::ScaleKind;

/// Integers that are not their scale times a signed code: zero points, or columns whose group g_idx
/// names. value [n, k] = (code [n, k] - zero [n, g]) * scale [n, g].
struct ShiftedWeight {
  PackedMatrix codes;                  // with a scale of 1: its values are the codes
  std::function<at::Tensor()> scales;  // float32 [N, groups]
  std::function<at::Tensor()> zeros;   // float32 [N, groups]; null: there are none
  std::function<at::Tensor()> groups;  // int64 [K]; null: k / group_size
  std::string name;
};

at::Tensor group_of_columns(const ShiftedWeight& weight, int64_t count) {
  const at::Tensor groups = weight.groups();
  const int64_t* values = groups.const_data_ptr<int64_t>();
  for (int64_t k = 0; k < groups.numel(); ++k) {
    if (values[k] < 0 || values[k] >= count)
      throw_data("{}: g_idx[{}] is {}, there are {} groups", weight.name, k, values[k], count);
  }
  return groups;
}

at::Tensor decode(const ShiftedWeight& weight, at::ScalarType dtype) {
  at::Tensor value = decode(weight.codes, at::kFloat);
  const at::Tensor scales = weight.scales();
  const int64_t count = scales.size(1);
  const at::Tensor groups = weight.groups ? group_of_columns(weight, count) : at::Tensor();
  const auto by_column = [&](const at::Tensor& grid) {
    if (groups.defined()) return at::index_select(grid, 1, groups);
    return at::repeat_interleave(grid, value.size(1) / count, 1);
  };
  if (weight.zeros) value = at::sub(value, by_column(weight.zeros()));
  return at::mul(value, by_column(scales)).to(dtype);
}

formats::Scales scale_of_one() {
  formats::Scales one = formats::Scales::make(ScaleKind::kFloat32, 1);
  one.values[0] = 1.0f;
  return one;
}

/// A module as it is read, and its tensors.
struct Linear {
  const CompressedScheme& scheme;
  std::string path;
  const StoredTensor* weight = nullptr;
  const StoredTensor* scale = nullptr;
  const StoredTensor* global = nullptr;
  const StoredTensor* zeros = nullptr;
  const StoredTensor* groups = nullptr;
  std::vector<std::string> tensors = {};
  int64_t rows = 0;
  int64_t cols = 0;
  float global_scale = 1.0f;
  std::optional<float> input_scale = {};

  formats::GridShape grid() const { return formats::grid_shape(scheme.weight.block, rows, cols); }
};

class LinearReader {
 public:
  LinearReader(TensorStore& store, std::vector<std::string>& problems)
      : store_(store), problems_(problems) {}

  std::optional<QuantizedLinear> read(const std::string& path, const CompressedScheme& scheme,
                                      at::ScalarType dtype) {
    const size_t before = problems_.size();
    Linear linear{.scheme = scheme, .path = path};
    take_tensors(linear);
    if (problems_.size() != before || !check_weight(linear)) return std::nullopt;
    check_scales(linear);
    read_input(linear);
    if (problems_.size() != before) return std::nullopt;
    QuantizedLinear described = this->described(linear);
    store_.replace(linear.tensors, {linear.path + ".weight",
                                    dtype,
                                    {linear.rows, linear.cols},
                                    linear.weight->file,
                                    reader_of(linear),
                                    {}});
    return described;
  }

 private:
  void fail(const StoredTensor& tensor, const std::string& what) {
    problems_.push_back(fmt::format("{}: {} {}", tensor.file, tensor.name, what));
  }

  const StoredTensor* take(Linear& linear, const char* suffix) {
    const StoredTensor* tensor = store_.find(ir::join_path(linear.path, suffix));
    if (tensor != nullptr) linear.tensors.push_back(tensor->name);
    return tensor;
  }

  const StoredTensor* require(Linear& linear, const char* suffix) {
    const StoredTensor* tensor = take(linear, suffix);
    if (tensor == nullptr) {
      problems_.push_back(fmt::format("{}.{} is missing, which {} needs", linear.path, suffix,
                                      linear.scheme.format));
    }
    return tensor;
  }

  /// Old files have the zero points of symmetric schemes, which are zeros.
  void drop_zeros(const Linear& linear, const char* suffix) {
    const std::string name = ir::join_path(linear.path, suffix);
    if (store_.find(name) != nullptr) store_.drop(name, "the zero point of a symmetric scheme");
  }

  void take_tensors(Linear& linear) {
    const CompressedScheme& scheme = linear.scheme;
    if (scheme.symmetric) drop_zeros(linear, "weight_zero_point");
    drop_zeros(linear, "input_zero_point");
    linear.weight = require(linear, scheme.packed ? "weight_packed" : "weight");
    linear.scale = require(linear, "weight_scale");
    if (scheme.weight.scale == ScaleKind::kE4M3TwoLevel)
      linear.global = require(linear, "weight_global_scale");
    if (!scheme.symmetric) linear.zeros = require(linear, "weight_zero_point");
    if (scheme.is_pack_quantized()) linear.groups = take(linear, "weight_g_idx");
    if (scheme.packed && store_.find(linear.path + ".weight") != nullptr) {
      problems_.push_back(fmt::format("{0}.weight is there beside {0}.weight_packed", linear.path));
    }
  }

  /// The shape [N, K] from that of the packed weight and, for integers, from weight_shape.
  bool check_weight(Linear& linear) {
    const StoredTensor& weight = *linear.weight;
    if (weight.dtype != linear.scheme.weight_dtype) {
      fail(weight, fmt::format("has dtype {}, expected {} for {}", c10::toString(weight.dtype),
                               c10::toString(linear.scheme.weight_dtype), linear.scheme.format));
      return false;
    }
    if (weight.shape.size() != 2 || weight.shape[0] == 0 || weight.shape[1] == 0) {
      fail(weight, fmt::format("is {}, expected two sizes above 0", shape_text(weight.shape)));
      return false;
    }
    linear.rows = weight.shape[0];
    linear.cols = unpacked_columns(linear.scheme, weight.shape[1]);
    return !linear.scheme.is_pack_quantized() || read_shape(linear);
  }

  static int64_t unpacked_columns(const CompressedScheme& scheme, int64_t packed) {
    if (scheme.packing == formats::Packing::kNibbles) return packed * 2;
    if (scheme.packing == formats::Packing::kSixBits) return packed * 4 / 3;
    return packed;
  }

  /// Words of `count` integers side by side.
  static int64_t packed_words(const CompressedScheme& scheme, int64_t count) {
    return formats::packed_shape(formats::Packing::kInt32Offset, scheme.weight.element, 1, count)
        .cols;
  }

  bool read_shape(Linear& linear) {
    const StoredTensor* shape = require(linear, "weight_shape");
    if (shape == nullptr) return false;
    const bool integers = shape->dtype == at::kLong || shape->dtype == at::kInt;
    if (!integers || shape->shape != std::vector<int64_t>{2}) {
      fail(*shape, fmt::format("is {} {}, expected two integers", c10::toString(shape->dtype),
                               shape_text(shape->shape)));
      return false;
    }
    const at::Tensor sizes = shape->read(at::kLong).contiguous();
    const int64_t rows = sizes.const_data_ptr<int64_t>()[0];
    linear.cols = sizes.const_data_ptr<int64_t>()[1];
    const bool fits = rows == linear.rows && linear.cols > 0 &&
                      packed_words(linear.scheme, linear.cols) == linear.weight->shape[1];
    if (!fits) {
      fail(*shape, fmt::format("says [{}, {}], which {} of {} cannot be", rows, linear.cols,
                               linear.weight->name, shape_text(linear.weight->shape)));
    }
    return fits;
  }

  void check_scales(Linear& linear) {
    const formats::BlockShape block = linear.scheme.weight.block;
    if (block.rows == 1 && block.cols > 0 && linear.cols % block.cols != 0) {
      fail(*linear.weight,
           fmt::format("has K = {}, which groups of {} do not divide", linear.cols, block.cols));
      return;
    }
    const formats::GridShape grid = linear.grid();
    check_grid(*linear.scale, grid);
    check_scale_dtype(linear);
    if (linear.global != nullptr) linear.global_scale = reciprocal(*linear.global).value_or(1.0f);
    if (linear.zeros != nullptr) check_zeros(linear, grid);
    if (linear.groups != nullptr) check_groups(linear);
  }

  /// A grid of one column may be stored without it, a grid of one cell as a number.
  void check_grid(const StoredTensor& tensor, formats::GridShape grid) {
    const std::vector<int64_t>& shape = tensor.shape;
    const bool column = grid.cols == 1 && shape == std::vector<int64_t>{grid.rows};
    const bool fits = shape == std::vector<int64_t>{grid.rows, grid.cols} || column ||
                      (grid.size() == 1 && shape.empty());
    if (fits) return;
    fail(tensor,
         fmt::format("is {}, expected {}", shape_text(shape), shape_text({grid.rows, grid.cols})));
  }

  void check_scale_dtype(const Linear& linear) {
    const ScaleKind kind = linear.scheme.weight.scale;
    const at::ScalarType dtype = linear.scale->dtype;
    const bool fits = kind == ScaleKind::kFloat32 ? is_plain_float(dtype)
                      : kind == ScaleKind::kE4M3TwoLevel
                          ? dtype == at::kFloat8_e4m3fn
                          : dtype == at::kByte || dtype == at::kFloat8_e8m0fnu;
    if (!fits) {
      fail(*linear.scale, fmt::format("has dtype {}, which is not that of {} scales",
                                      c10::toString(dtype), formats::scale_kind_name(kind)));
    }
  }

  /// Packed along N where the weight is packed, else a byte each: also the one of a whole tensor.
  static bool zeros_are_packed(const Linear& linear) {
    return linear.scheme.is_pack_quantized() && linear.scheme.weight.block != formats::kPerTensor;
  }

  void check_zeros(const Linear& linear, formats::GridShape grid) {
    if (!zeros_are_packed(linear)) {
      if (linear.zeros->dtype != at::kChar) fail(*linear.zeros, "is not of int8");
      return check_grid(*linear.zeros, grid);
    }
    if (linear.zeros->dtype != at::kInt) fail(*linear.zeros, "is not of int32");
    check_grid(*linear.zeros, {packed_words(linear.scheme, grid.rows), grid.cols});
  }

  void check_groups(const Linear& linear) {
    const StoredTensor& groups = *linear.groups;
    const bool integers = groups.dtype == at::kLong || groups.dtype == at::kInt;
    if (integers && groups.shape == std::vector<int64_t>{linear.cols}) return;
    fail(groups, fmt::format("is {} {}, expected {} integers", c10::toString(groups.dtype),
                             shape_text(groups.shape), linear.cols));
  }

  std::optional<float> reciprocal(const StoredTensor& tensor) {
    const std::optional<float> value = read_scalar(tensor, problems_);
    if (!value) return value;
    if (*value == 0 || !std::isfinite(1.0f / *value)) {
      fail(tensor, fmt::format("is {}, whose reciprocal is no scale", *value));
      return std::nullopt;
    }
    return 1.0f / *value;
  }

  void read_input(Linear& linear) {
    const std::optional<CompressedInput>& input = linear.scheme.input;
    if (!input || !input->has_scale) return;
    const bool global = input->format.scale == ScaleKind::kE4M3TwoLevel;
    const StoredTensor* scale = require(linear, global ? "input_global_scale" : "input_scale");
    if (scale == nullptr) return;
    linear.input_scale = global ? reciprocal(*scale) : read_scalar(*scale, problems_);
    if (linear.input_scale && *linear.input_scale == 0) fail(*scale, "is 0, expected above 0");
  }

  static std::function<formats::Scales()> scales_of(const Linear& linear) {
    const ScaleKind kind = linear.scheme.weight.scale;
    if (kind == ScaleKind::kFloat32)
      return [scale = *linear.scale] { return read_float_scales(scale); };
    return [scale = *linear.scale, kind, global = linear.global_scale] {
      const at::Tensor stored = scale.read(scale.dtype).contiguous();
      const auto* codes = static_cast<const uint8_t*>(stored.const_data_ptr());
      return formats::Scales{.kind = kind,
                             .values = {},
                             .codes = {codes, codes + stored.numel()},
                             .global_scale = global};
    };
  }

  /// A byte holds an int8, however few bits the scheme has.
  static formats::Format stored_format(const CompressedScheme& scheme) {
    formats::Format format = scheme.weight;
    if (scheme.is_integer() && scheme.packing == formats::Packing::kBytes)
      format.element = formats::kInt8;
    return format;
  }

  static PackedMatrix packed_of(const Linear& linear) {
    return {.format = stored_format(linear.scheme),
            .packing = linear.scheme.packing,
            .rows = linear.rows,
            .cols = linear.cols,
            .codes = [weight = *linear.weight] { return weight.read(weight.dtype).contiguous(); },
            .scales = scales_of(linear)};
  }

  static PackedMatrix codes_of(const Linear& linear) {
    PackedMatrix codes = packed_of(linear);
    codes.format.block = formats::kPerTensor;
    codes.scales = scale_of_one;
    return codes;
  }

  /// Zero points as floats [N, groups]; packed ones are int32 [N * bits / 32, groups].
  static std::function<at::Tensor()> zeros_of(const Linear& linear) {
    const formats::GridShape grid = linear.grid();
    const auto shape = [grid](const at::Tensor& zeros) {
      return zeros.reshape({grid.rows, grid.cols});
    };
    if (!zeros_are_packed(linear))
      return [zeros = *linear.zeros, shape] { return shape(zeros.read(at::kChar).to(at::kFloat)); };
    return [zeros = *linear.zeros, grid, element = linear.scheme.weight.element] {
      const at::Tensor words = zeros.read(at::kInt).reshape({-1, grid.cols}).t().contiguous();
      PackedMatrix packed{.format = {element, formats::kPerTensor},
                          .packing = formats::Packing::kInt32Offset,
                          .rows = grid.cols,
                          .cols = grid.rows,
                          .codes = [words] { return words; },
                          .scales = scale_of_one};
      return decode(packed, at::kFloat).t().contiguous();
    };
  }

  static std::function<at::Tensor(at::ScalarType)> reader_of(const Linear& linear) {
    if (linear.zeros == nullptr && linear.groups == nullptr) {
      return [packed = packed_of(linear)](at::ScalarType wanted) { return decode(packed, wanted); };
    }
    ShiftedWeight weight{.codes = codes_of(linear), .name = linear.weight->name};
    weight.scales = [scale = *linear.scale, grid = linear.grid()] {
      return scale.read(at::kFloat).reshape({grid.rows, grid.cols});
    };
    if (linear.zeros != nullptr) weight.zeros = zeros_of(linear);
    if (linear.groups != nullptr) {
      weight.groups = [groups = *linear.groups] { return groups.read(at::kLong).contiguous(); };
    }
    return [weight](at::ScalarType wanted) { return decode(weight, wanted); };
  }

  QuantizedLinear described(const Linear& linear) const {
    QuantizedLinear described{.path = linear.path,
                              .quant_algo = linear.scheme.format,
                              .weight_format = linear.scheme.weight,
                              .input_scale = linear.input_scale,
                              .tensors = linear.tensors,
                              .global_scale = linear.global_scale};
    if (linear.scheme.input) described.input_format = linear.scheme.input->format;
    if (linear.zeros == nullptr && linear.groups == nullptr) described.scales = scales_of(linear);
    return described;
  }

  TensorStore& store_;
  std::vector<std::string>& problems_;
};

}  // namespace

std::optional<QuantizedLinear> decode_compressed(const std::string& path,
                                                 const CompressedScheme& scheme,
                                                 at::ScalarType dtype, TensorStore& store,
                                                 std::vector<std::string>& problems) {
  return LinearReader(store, problems).read(path, scheme, dtype);
}

}  // namespace lathe::frontends
