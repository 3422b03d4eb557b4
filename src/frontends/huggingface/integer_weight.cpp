#include "frontends/huggingface/integer_weight.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/parallel.h"
#include "frontends/huggingface/packed_weight.h"
#include "frontends/huggingface/weights.h"
#include "frontends/problem_list.h"

namespace lathe::frontends {
namespace {

/// Where each of the eight 4-bit columns of a word lies, in nibbles.
constexpr std::array<int, 8> kSwapped = {0, 4, 1, 5, 2, 6, 3, 7};

/// Columns of the result that are decoded together: their part of a row of words is a cache line.
constexpr int64_t kTile = 16;

/// Takes integers out of the words of one weight.
class Integers {
 public:
  Integers(const IntegerLayout& layout, int64_t cols_of_words)
      : layout_(layout), mask_((1u << layout.bits) - 1), stride_(cols_of_words) {}

  /// Of a matrix that is packed along its columns.
  int along_columns(const int32_t* words, int64_t row, int64_t column) const {
    const int64_t place = column % layout_.per_word();
    const int64_t lane = layout_.swapped ? kSwapped[static_cast<size_t>(place)] : place;
    return take(words[row * stride_ + column / layout_.per_word()], lane);
  }

  /// Of a matrix that is packed along its rows.
  int along_rows(const int32_t* words, int64_t row, int64_t column) const {
    return take(words[row / layout_.per_word() * stride_ + column], row % layout_.per_word());
  }

  int zero(const int32_t* words, int64_t group, int64_t column) const {
    return (along_columns(words, group, column) + layout_.zero_offset) & static_cast<int>(mask_);
  }

 private:
  int take(int32_t word, int64_t lane) const {
    return static_cast<int>((static_cast<uint32_t>(word) >> (lane * layout_.bits)) & mask_);
  }

  IntegerLayout layout_;
  uint32_t mask_;
  int64_t stride_;  // words in a row
};

/// The group of each row of the stored matrix.
std::vector<int64_t> group_of_rows(const IntegerWeight& weight) {
  std::vector<int64_t> groups(static_cast<size_t>(weight.cols));
  const int64_t count = weight.cols / weight.group_size;
  const at::Tensor given = weight.groups ? weight.groups() : at::Tensor();
  for (int64_t k = 0; k < weight.cols; ++k) {
    const int64_t group =
        given.defined() ? given.const_data_ptr<int64_t>()[k] : k / weight.group_size;
    if (group < 0 || group >= count) {
      throw_data("{}: g_idx[{}] is {}, there are {} groups", weight.name, k, group, count);
    }
    groups[static_cast<size_t>(k)] = group;
  }
  return groups;
}

at::Tensor finite_scales(const IntegerWeight& weight) {
  at::Tensor scales = weight.scales().contiguous();
  const float* values = scales.const_data_ptr<float>();
  const bool finite = std::all_of(values, values + scales.numel(),
                                  [](float scale) { return std::isfinite(scale); });
  if (!finite) throw_data("{}: scales hold NaN or infinite numbers", weight.name);
  return scales;
}

template <typename T>
void decode_into(const IntegerWeight& weight, T* out) {
  const at::Tensor codes = weight.codes(), zeros = weight.zeros(), scales = finite_scales(weight);
  const std::vector<int64_t> groups = group_of_rows(weight);
  const int64_t rows = weight.rows, cols = weight.cols;
  const int32_t* words = codes.const_data_ptr<int32_t>();
  const int32_t* zero_words = zeros.const_data_ptr<int32_t>();
  const float* scale = scales.const_data_ptr<float>();
  const bool along_k = weight.layout.along_k;
  const int64_t packed_cols = rows / weight.layout.per_word();
  const Integers code_at(weight.layout, along_k ? rows : packed_cols);
  const Integers zero_at(weight.layout, packed_cols);
  parallel_for(0, rows, kTile, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile += kTile) {
      for (int64_t k = 0; k < cols; ++k) {
        const int64_t group = groups[static_cast<size_t>(k)];
        for (int64_t n = tile; n < std::min(tile + kTile, end); ++n) {
          const int code =
              along_k ? code_at.along_rows(words, k, n) : code_at.along_columns(words, k, n);
          const int shifted = code - zero_at.zero(zero_words, group, n);
          out[n * cols + k] = static_cast<T>(static_cast<float>(shifted) * scale[group * rows + n]);
        }
      }
    }
  });
}

}  // namespace

at::Tensor decode(const IntegerWeight& weight, at::ScalarType dtype) {
  at::Tensor value = at::empty({weight.rows, weight.cols}, dtype);
  switch (dtype) {
    case at::kFloat:
      decode_into(weight, value.mutable_data_ptr<float>());
      break;
    case at::kBFloat16:
      decode_into(weight, value.mutable_data_ptr<c10::BFloat16>());
      break;
    case at::kHalf:
      decode_into(weight, value.mutable_data_ptr<c10::Half>());
      break;
    default:
      throw_internal("{}: decoded to {}", weight.name, c10::toString(dtype));
  }
  return value;
}

formats::Scales symmetric_scales(const IntegerWeight& weight) {
  const at::Tensor zeros = weight.zeros(), scales = finite_scales(weight);
  const std::vector<int64_t> groups = group_of_rows(weight);
  for (int64_t k = 0; k < weight.cols; ++k) {
    if (groups[static_cast<size_t>(k)] != k / weight.group_size) {
      throw_data("{}: g_idx changes the order of the groups, but desc_act is false", weight.name);
    }
  }
  const int64_t count = weight.cols / weight.group_size;
  const int middle = 1 << (weight.layout.bits - 1);
  const Integers integers(weight.layout, weight.rows / weight.layout.per_word());
  formats::Scales result = formats::Scales::make(formats::ScaleKind::kFloat32, weight.rows * count);
  for (int64_t group = 0; group < count; ++group) {
    for (int64_t n = 0; n < weight.rows; ++n) {
      if (integers.zero(zeros.const_data_ptr<int32_t>(), group, n) != middle) {
        throw_data("{}: there are zero points, but \"sym\" is true", weight.name);
      }
      const float scale = scales.const_data_ptr<float>()[group * weight.rows + n];
      if (scale < 0) throw_data("{}: a scale is {}, expected at least 0", weight.name, scale);
      result.values[static_cast<size_t>(n * count + group)] = scale == 0 ? 1.0f : scale;
    }
  }
  return result;
}

namespace {

class IntegerReader {
 public:
  IntegerReader(const IntegerSource& from, const ConfigReader& section, TensorStore& store,
                at::ScalarType dtype)
      : from_(from), section_(section), store_(store), dtype_(dtype) {}

  QuantizedSource read() {
    QuantizedSource source{
        .method = from_.method,
        .quant_algo = fmt::format("{} {} bits", from_.method, from_.layout.bits)};
    if (const auto names = section_.find_texts("modules_to_not_convert")) {
      source.exclude_modules = *names;
    }
    constexpr std::string_view kSuffix = ".qweight";
    std::vector<std::string> paths;  // reading one changes the store
    for (const StoredTensor* tensor : store_.tensors()) {
      if (!tensor->name.ends_with(kSuffix)) continue;
      paths.push_back(tensor->name.substr(0, tensor->name.size() - kSuffix.size()));
    }
    for (const std::string& path : paths) read_linear(path, source);
    if (problems_.empty()) return source;
    throw_data("{}: the tensors do not fit quant_method \"{}\":{}", section_.source_name(),
               from_.method, problem_list(problems_));
  }

 private:
  void fail(const StoredTensor& tensor, const std::string& what) {
    problems_.push_back(fmt::format("{}: {} {}", tensor.file, tensor.name, what));
  }

  const StoredTensor* required(const std::string& path, const char* name) {
    const StoredTensor* tensor = store_.find(ir::join_path(path, name));
    if (tensor == nullptr) {
      problems_.push_back(
          fmt::format("{}.{} is missing, which {} needs", path, name, from_.method));
    }
    return tensor;
  }

  bool check_words(const StoredTensor& tensor) {
    const bool fits = tensor.dtype == at::kInt && tensor.shape.size() == 2 && tensor.shape[0] > 0 &&
                      tensor.shape[1] > 0;
    if (!fits) {
      fail(tensor, fmt::format("is {} {}, expected int32 of two sizes above 0",
                               c10::toString(tensor.dtype), shape_text(tensor.shape)));
    }
    return fits;
  }

  void check_shape(const StoredTensor& tensor, const std::vector<int64_t>& shape, bool dtype_fits,
                   const char* dtype) {
    if (tensor.shape == shape && dtype_fits) return;
    fail(tensor, fmt::format("is {} {}, expected {} {}", c10::toString(tensor.dtype),
                             shape_text(tensor.shape), dtype, shape_text(shape)));
  }

  void read_linear(const std::string& path, QuantizedSource& source) {
    const size_t before = problems_.size();
    const StoredTensor* codes = required(path, "qweight");
    const StoredTensor* zeros = required(path, "qzeros");
    const StoredTensor* scales = required(path, "scales");
    const StoredTensor* groups = store_.find(ir::join_path(path, "g_idx"));
    if (problems_.size() != before || !check_words(*codes)) return;
    IntegerWeight weight{.layout = from_.layout, .name = codes->file + ": " + codes->name};
    const int per_word = from_.layout.per_word();
    weight.cols = codes->shape[0] * (from_.layout.along_k ? per_word : 1);
    weight.rows = codes->shape[1] * (from_.layout.along_k ? 1 : per_word);
    weight.group_size = from_.group_size > 0 ? from_.group_size : weight.cols;
    if (weight.cols % weight.group_size != 0 || weight.rows % per_word != 0) {
      return fail(*codes, fmt::format("is of a weight [{}, {}], which groups of {} do not divide",
                                      weight.rows, weight.cols, weight.group_size));
    }
    const int64_t count = weight.cols / weight.group_size;
    check_shape(*zeros, {count, weight.rows / per_word}, zeros->dtype == at::kInt, "int32");
    check_shape(*scales, {count, weight.rows}, is_plain_float(scales->dtype), "floating point");
    if (groups != nullptr) {
      const bool integers = groups->dtype == at::kInt || groups->dtype == at::kLong;
      check_shape(*groups, {weight.cols}, integers, "int32");
    }
    if (store_.find(ir::join_path(path, "weight")) != nullptr) {
      fail(*codes, fmt::format("stands for {}.weight, which is there too", path));
    }
    if (problems_.size() != before) return;
    weight.codes = [read = codes->read] { return read(at::kInt).contiguous(); };
    weight.zeros = [read = zeros->read] { return read(at::kInt).contiguous(); };
    weight.scales = [read = scales->read] { return read(at::kFloat); };
    if (groups != nullptr) {
      weight.groups = [read = groups->read] { return read(at::kLong).contiguous(); };
    }
    add(path, weight, source);
  }

  void add(const std::string& path, const IntegerWeight& weight, QuantizedSource& source) {
    QuantizedLinear linear{
        .path = path,
        .quant_algo = source.quant_algo,
        .weight_format = {formats::int_element(from_.layout.bits), {1, weight.group_size}}};
    if (weight.group_size == weight.cols) linear.weight_format.block = formats::kPerChannel;
    for (const char* name : {"qweight", "qzeros", "scales", "g_idx"}) {
      const StoredTensor* tensor = store_.find(ir::join_path(path, name));
      if (tensor != nullptr) linear.tensors.push_back(tensor->name);
    }
    if (from_.symmetric && from_.in_order) {
      linear.scales = [weight] { return symmetric_scales(weight); };
    }
    const auto read = [weight](at::ScalarType wanted) { return decode(weight, wanted); };
    const std::string file = store_.find(linear.tensors.front())->file;
    store_.replace(
        linear.tensors,
        {ir::join_path(path, "weight"), dtype_, {weight.rows, weight.cols}, file, read, {}});
    source.linears.push_back(std::move(linear));
  }

  const IntegerSource& from_;
  const ConfigReader& section_;
  TensorStore& store_;
  at::ScalarType dtype_;
  std::vector<std::string> problems_;
};

}  // namespace

int64_t read_group_size(const ConfigReader& section) {
  const char* key = section.has("q_group_size") ? "q_group_size" : "group_size";
  const auto& json = section.json();
  if (section.has(key) && json[key].is_number_integer() && json[key] == -1) return 0;
  return section.size_or(key, 128);
}

QuantizedSource read_integer_weights(const IntegerSource& from, const ConfigReader& section,
                                     TensorStore& store, at::ScalarType dtype) {
  return IntegerReader(from, section, store, dtype).read();
}

}  // namespace lathe::frontends
