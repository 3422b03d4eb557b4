#include "frontends/huggingface/fp8_source.h"

#include <array>

#include "base/error.h"
#include "frontends/huggingface/packed_weight.h"
#include "frontends/huggingface/weights.h"
#include "frontends/problem_list.h"

namespace lathe::frontends {
namespace {

constexpr std::array<std::string_view, 2> kScaleNames = {".weight_scale_inv", ".weight_scale"};
constexpr std::array<std::string_view, 2> kInputScaleNames = {"input_scale", "activation_scale"};

/// The path of the module whose weight this tensor scales; "" if it is none.
std::string scaled_module(const std::string& name) {
  for (std::string_view suffix : kScaleNames) {
    if (name.ends_with(suffix)) return name.substr(0, name.size() - suffix.size());
  }
  return "";
}

class Fp8Reader {
 public:
  Fp8Reader(const ConfigReader& section, TensorStore& store, at::ScalarType dtype)
      : section_(section), store_(store), dtype_(dtype) {
    read_block();
    const std::string scheme = section.text_or("activation_scheme", "dynamic");
    if (scheme != "dynamic" && scheme != "static") {
      section.unsupported("activation_scheme", "supported: dynamic, static");
    }
    static_inputs_ = scheme == "static";
    if (section.text_or("fmt", "e4m3") != "e4m3") section.unsupported("fmt", "supported: e4m3");
  }

  QuantizedSource read() {
    QuantizedSource source{.method = "fp8", .quant_algo = name()};
    if (const auto names = section_.find_texts("modules_to_not_convert")) {
      source.exclude_modules = *names;
    }
    for (const std::string& name : scale_names()) {
      const StoredTensor* scale = store_.find(name);
      if (scale != nullptr) read_linear(scaled_module(name), *scale, source);
    }
    find_strays();
    if (!problems_.empty()) {
      throw_data("{}: the tensors do not fit quant_method \"fp8\":{}", section_.source_name(),
                 problem_list(problems_));
    }
    return source;
  }

 private:
  /// Reading a linear changes the store.
  std::vector<std::string> scale_names() const {
    std::vector<std::string> names;
    for (const StoredTensor* tensor : store_.tensors()) {
      if (!scaled_module(tensor->name).empty()) names.push_back(tensor->name);
    }
    return names;
  }

  void read_block() {
    const auto block = section_.find_counts("weight_block_size");
    if (!block) return;
    if (block->size() != 2 || block->at(0) < 1 || block->at(1) < 1) {
      section_.fail("weight_block_size", "two sizes above 0");
    }
    block_ = {block->at(0), block->at(1)};
  }

  bool in_blocks() const { return block_ != formats::kPerTensor; }

  std::string name() const {
    return in_blocks() ? fmt::format("fp8 in blocks of {} x {}", block_.rows, block_.cols) : "fp8";
  }

  void fail(const StoredTensor& tensor, const std::string& what) {
    problems_.push_back(fmt::format("{}: {} {}", tensor.file, tensor.name, what));
  }

  bool check_weight(const StoredTensor& weight) {
    if (weight.dtype != at::kFloat8_e4m3fn) {
      fail(weight,
           fmt::format("has dtype {}, expected float8_e4m3fn", c10::toString(weight.dtype)));
    } else if (weight.shape.size() != 2 || weight.shape[0] == 0 || weight.shape[1] == 0) {
      fail(weight, fmt::format("is {}, expected two sizes above 0", shape_text(weight.shape)));
    } else {
      return true;
    }
    return false;
  }

  bool check_scale(const StoredTensor& scale, const StoredTensor& weight) {
    if (!is_plain_float(scale.dtype) && scale.dtype != at::kFloat8_e8m0fnu) {
      fail(scale, fmt::format("has dtype {}, expected floating point", c10::toString(scale.dtype)));
      return false;
    }
    if (!in_blocks()) {
      if (scale.shape.empty() || scale.shape == std::vector<int64_t>{1}) return true;
      fail(scale, fmt::format("is {}, expected one number, since there is no weight_block_size",
                              shape_text(scale.shape)));
      return false;
    }
    const formats::GridShape grid = formats::grid_shape(block_, weight.shape[0], weight.shape[1]);
    const std::vector<int64_t> expected = {grid.rows, grid.cols};
    if (scale.shape == expected) return true;
    fail(scale, fmt::format("is {}, expected {} for a weight of {} in blocks of {} x {}",
                            shape_text(scale.shape), shape_text(expected), shape_text(weight.shape),
                            block_.rows, block_.cols));
    return false;
  }

  void read_linear(const std::string& path, const StoredTensor& scale, QuantizedSource& source) {
    const StoredTensor* weight = store_.find(ir::join_path(path, "weight"));
    if (weight == nullptr) return fail(scale, "belongs to no weight");
    const size_t before = problems_.size();
    QuantizedLinear linear{.path = path,
                           .quant_algo = source.quant_algo,
                           .weight_format = {formats::kE4M3, block_},
                           .tensors = {weight->name, scale.name}};
    if (!check_weight(*weight) || !check_scale(scale, *weight)) return;
    read_inputs(path, linear);
    if (problems_.size() != before) return;
    PackedMatrix packed{.format = linear.weight_format,
                        .rows = weight->shape[0],
                        .cols = weight->shape[1],
                        .codes = [weight = *weight] { return weight.read(weight.dtype); },
                        .scales = [scale] { return read_float_scales(scale); }};
    linear.scales = packed.scales;
    const auto read = [packed](at::ScalarType wanted) { return decode(packed, wanted); };
    store_.replace(linear.tensors, {ir::join_path(path, "weight"),
                                    dtype_,
                                    {packed.rows, packed.cols},
                                    weight->file,
                                    read,
                                    {}});
    source.linears.push_back(std::move(linear));
  }

  void read_inputs(const std::string& path, QuantizedLinear& linear) {
    linear.input_format = formats::Format{formats::kE4M3, {in_blocks() ? 1 : 0, block_.cols}};
    for (std::string_view name : kInputScaleNames) {
      const StoredTensor* scale = store_.find(ir::join_path(path, name));
      if (scale == nullptr) continue;
      linear.tensors.push_back(scale->name);
      if (!static_inputs_) return fail(*scale, "is there, but activation_scheme is \"dynamic\"");
      linear.input_scale = read_scalar(*scale, problems_);
      if (linear.input_scale && *linear.input_scale == 0) fail(*scale, "is 0, expected above 0");
      linear.input_format = formats::kFp8;
      return;
    }
    if (!static_inputs_) return;
    problems_.push_back(fmt::format("{} is missing, which activation_scheme \"static\" needs",
                                    ir::join_path(path, kInputScaleNames[0])));
  }

  void find_strays() {
    if (!problems_.empty()) return;
    for (const StoredTensor* tensor : store_.tensors()) {
      if (tensor->dtype != at::kFloat8_e4m3fn) continue;
      fail(*tensor, "is in float8_e4m3fn, but there is no scale for it");
    }
  }

  const ConfigReader& section_;
  TensorStore& store_;
  at::ScalarType dtype_;
  formats::BlockShape block_ = formats::kPerTensor;
  bool static_inputs_ = false;
  std::vector<std::string> problems_;
};

}  // namespace

QuantizedSource read_fp8(const ConfigReader& section, TensorStore& store, at::ScalarType dtype) {
  return Fp8Reader(section, store, dtype).read();
}

}  // namespace lathe::frontends
