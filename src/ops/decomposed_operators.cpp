#include "ops/decomposed_operators.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <limits>

namespace lathe::ops {
namespace {

using at::ScalarType;
using at::Tensor;

struct Bounds {
  ScalarType dtype;
  int64_t min;
  int64_t max;
};

constexpr auto kBounds = std::to_array<Bounds>({
    {at::kByte, 0, 255},
    {at::kChar, -128, 127},
    {at::kUInt16, 0, 65535},
    {at::kShort, -32768, 32767},
    {at::kInt, -2147483648LL, 2147483647LL},
    {at::kFloat8_e5m2, -57344, 57344},
    {at::kFloat8_e4m3fn, -448, 448},
});

void check_dtype(ScalarType dtype, const char* name) {
  const bool known = std::any_of(kBounds.begin(), kBounds.end(),
                                 [&](const Bounds& bounds) { return bounds.dtype == dtype; });
  TORCH_CHECK(known, name, ": codes of dtype ", dtype, " are not supported");
}

void check_bounds(int64_t quant_min, int64_t quant_max, ScalarType dtype, const char* name) {
  check_dtype(dtype, name);
  for (const Bounds& bounds : kBounds) {
    TORCH_CHECK(bounds.dtype != dtype || (quant_min >= bounds.min && quant_max <= bounds.max), name,
                ": codes from ", quant_min, " to ", quant_max, " in ", dtype);
  }
}

void check_codes(const Tensor& codes, ScalarType dtype, const char* name) {
  TORCH_CHECK(codes.scalar_type() == dtype, name, ": codes of dtype ", codes.scalar_type(),
              ", expected ", dtype);
}

Tensor as_float(const Tensor& input, const char* name) {
  const ScalarType dtype = input.scalar_type();
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kHalf || dtype == at::kBFloat16, name,
              ": an input of dtype ", dtype);
  return input.to(at::kFloat);
}

void check_one(const Tensor& value, const char* what, const char* name) {
  TORCH_CHECK(value.numel() == 1, name, ": ", what, " has ", value.numel(),
              " elements, expected 1");
}

// One scale

Tensor quantize_per_tensor(const Tensor& input, double scale, int64_t zero_point, int64_t quant_min,
                           int64_t quant_max, ScalarType dtype) {
  constexpr const char* kName = "quantize_per_tensor";
  const Tensor x = as_float(input, kName);
  check_bounds(quant_min, quant_max, dtype, kName);
  return (x * (1.0 / scale)).round_().add_(zero_point).clamp_(quant_min, quant_max).to(dtype);
}

/// Scales in tensors have no values where shapes alone are computed.
Tensor quantize_by_tensors(const Tensor& input, const Tensor& scale, const Tensor& zero_point,
                           int64_t quant_min, int64_t quant_max, ScalarType dtype) {
  check_one(scale, "scale", "quantize_per_tensor");
  check_one(zero_point, "zero_point", "quantize_per_tensor");
  if (input.is_meta()) return at::empty_like(input, input.options().dtype(dtype));
  return quantize_per_tensor(input, scale.item().toDouble(), zero_point.item().toLong(), quant_min,
                             quant_max, dtype);
}

Tensor quantize_by_all_tensors(const Tensor& input, const Tensor& scale, const Tensor& zero_point,
                               const Tensor& quant_min, const Tensor& quant_max, ScalarType dtype) {
  if (input.is_meta()) return quantize_by_tensors(input, scale, zero_point, 0, 0, dtype);
  return quantize_by_tensors(input, scale, zero_point, quant_min.item().toLong(),
                             quant_max.item().toLong(), dtype);
}

Tensor dequantize_per_tensor(const Tensor& input, double scale, int64_t zero_point, int64_t,
                             int64_t, ScalarType dtype, std::optional<ScalarType> out_dtype) {
  check_codes(input, dtype, "dequantize_per_tensor");
  check_dtype(dtype, "dequantize_per_tensor");
  return (input.to(out_dtype.value_or(at::kFloat)) - zero_point) * scale;
}

Tensor dequantize_by_tensors(const Tensor& input, const Tensor& scale, const Tensor& zero_point,
                             int64_t quant_min, int64_t quant_max, ScalarType dtype,
                             std::optional<ScalarType> out_dtype) {
  check_one(scale, "scale", "dequantize_per_tensor");
  check_one(zero_point, "zero_point", "dequantize_per_tensor");
  if (input.is_meta())
    return at::empty_like(input, input.options().dtype(out_dtype.value_or(at::kFloat)));
  return dequantize_per_tensor(input, scale.item().toDouble(), zero_point.item().toLong(),
                               quant_min, quant_max, dtype, out_dtype);
}

Tensor dequantize_by_all_tensors(const Tensor& input, const Tensor& scale, const Tensor& zero_point,
                                 const Tensor&, const Tensor&, ScalarType dtype,
                                 std::optional<ScalarType> out_dtype) {
  return dequantize_by_tensors(input, scale, zero_point, 0, 0, dtype, out_dtype);
}

// One scale per index of a dimension

/// [C] in a shape that is broadcast to the input's.
Tensor along_axis(const Tensor& values, const Tensor& input, int64_t axis, const char* name) {
  TORCH_CHECK(axis >= -input.dim() && axis < input.dim(), name, ": axis ", axis, " of ",
              input.dim(), " dimensions");
  std::vector<int64_t> shape(static_cast<size_t>(input.dim()), 1);
  shape[static_cast<size_t>(axis < 0 ? axis + input.dim() : axis)] = values.numel();
  return values.view(shape);
}

Tensor quantize_per_channel(const Tensor& input, const Tensor& scales, const Tensor& zero_points,
                            int64_t axis, int64_t quant_min, int64_t quant_max, ScalarType dtype) {
  constexpr const char* kName = "quantize_per_channel";
  const Tensor x = as_float(input, kName);
  check_bounds(quant_min, quant_max, dtype, kName);
  const Tensor scaled = x * along_axis(scales, x, axis, kName).reciprocal();
  return (scaled.round() + along_axis(zero_points, x, axis, kName))
      .clamp(quant_min, quant_max)
      .to(dtype);
}

Tensor dequantize_per_channel(const Tensor& input, const Tensor& scales,
                              const std::optional<Tensor>& zero_points, int64_t axis,
                              int64_t quant_min, int64_t quant_max, ScalarType dtype,
                              std::optional<ScalarType> out_dtype) {
  constexpr const char* kName = "dequantize_per_channel";
  check_codes(input, dtype, kName);
  check_bounds(quant_min, quant_max, dtype, kName);
  const Tensor codes = zero_points ? input - along_axis(*zero_points, input, axis, kName) : input;
  return (codes * along_axis(scales, input, axis, kName)).to(out_dtype.value_or(at::kFloat));
}

Tensor fake_quant_per_channel(const Tensor& input, const Tensor& scales, const Tensor& zero_points,
                              int64_t axis, int64_t quant_min, int64_t quant_max) {
  constexpr const char* kName = "fake_quant_per_channel";
  TORCH_CHECK(input.scalar_type() == at::kFloat, kName, ": an input of dtype ",
              input.scalar_type());
  const Tensor scale = along_axis(scales.to(at::kFloat), input, axis, kName);
  const Tensor zero_point = along_axis(zero_points.to(at::kInt), input, axis, kName);
  const Tensor codes = (input * scale.reciprocal()).round() + zero_point;
  return (codes.clamp(quant_min, quant_max) - zero_point) * scale;
}

// Groups along the rows of a matrix

/// The matrix as rows of one group each.
Tensor as_groups(const Tensor& input, const Tensor& scales, int64_t group_size, const char* name) {
  TORCH_CHECK(group_size > 1, name, ": groups of ", group_size);
  TORCH_CHECK(input.dim() == 2, name, ": an input of ", input.dim(), " dimensions, expected 2");
  const bool is_whole_row = group_size > input.size(-1) && scales.size(-1) == 1;
  const int64_t size = is_whole_row ? input.size(-1) : group_size;
  TORCH_CHECK(input.size(-1) % size == 0, name, ": ", input.size(-1), " columns are no groups of ",
              size);
  return input.reshape({-1, size});
}

Tensor quantize_per_channel_group(const Tensor& input, const Tensor& scales,
                                  const Tensor& zero_points, int64_t quant_min, int64_t quant_max,
                                  ScalarType dtype, int64_t group_size) {
  const Tensor groups = as_groups(input, scales, group_size, "quantize_per_channel_group");
  return (groups * scales.reshape({-1, 1}).reciprocal() + zero_points.reshape({-1, 1}))
      .round()
      .clamp(quant_min, quant_max)
      .to(dtype)
      .reshape_as(input);
}

Tensor dequantize_per_channel_group(const Tensor& input, const Tensor& scales,
                                    const std::optional<Tensor>& zero_points, int64_t, int64_t,
                                    ScalarType, int64_t group_size, ScalarType output_dtype) {
  const Tensor groups = as_groups(input, scales, group_size, "dequantize_per_channel_group");
  const Tensor codes = zero_points ? groups - zero_points->reshape({-1, 1}) : groups;
  return (codes * scales.reshape({-1, 1})).reshape_as(input).to(output_dtype);
}

// One scale per token

Tensor quantize_per_token(const Tensor& input, const Tensor& scales, const Tensor& zero_points,
                          int64_t quant_min, int64_t quant_max, ScalarType dtype) {
  check_bounds(quant_min, quant_max, dtype, "quantize_per_token");
  return (input * scales.reciprocal() + zero_points).round().clamp(quant_min, quant_max).to(dtype);
}

Tensor dequantize_per_token(const Tensor& input, const Tensor& scales, const Tensor& zero_points,
                            int64_t, int64_t, ScalarType, ScalarType output_dtype) {
  return ((input - zero_points) * scales).to(output_dtype);
}

std::tuple<Tensor, Tensor> choose_qparams_per_token(const Tensor& input, ScalarType dtype) {
  TORCH_CHECK(dtype == at::kChar, "choose_qparams_per_token: codes of dtype ", dtype);
  constexpr double kMax = 127;
  Tensor scales = input.abs().amax(-1, true);
  if (scales.scalar_type() == at::kHalf) scales = scales.to(at::kFloat);
  scales = scales.clamp_min(1e-5) / kMax;
  return {scales, at::zeros_like(scales)};
}

std::tuple<Tensor, Tensor> choose_qparams_per_token_asymmetric(const Tensor& input, ScalarType) {
  constexpr double kMin = -128, kMax = 127;
  const Tensor low = input.amin(-1, true).clamp_max(0);
  const Tensor high = input.amax(-1, true).clamp_min(0);
  const Tensor scale =
      ((high - low) / (kMax - kMin)).clamp_min(std::numeric_limits<float>::epsilon());
  const Tensor from_low = low / scale;
  const Tensor from_high = high / scale;
  const Tensor by_min = (kMin + from_low) + (kMax + from_high) > 0;
  const Tensor zero_point = at::where(by_min, kMin - from_low, kMax - from_high);
  return {scale.to(at::kDouble), zero_point.clamp(kMin, kMax).round().to(at::kLong)};
}

// Scales of a whole tensor

std::tuple<Tensor, Tensor> unknown_qparams(const Tensor& input) {
  return {at::empty({1}, input.options().dtype(at::kDouble)),
          at::empty({1}, input.options().dtype(at::kLong))};
}

/// {min, max} with zero between; nothing if there are none, as PyTorch takes it.
std::optional<std::pair<Tensor, Tensor>> range_of(const Tensor& input) {
  const auto [low, high] = at::aminmax(input);
  const double min = low.item().toDouble();
  const double max = high.item().toDouble();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (min == kInfinity && max == -kInfinity) return std::nullopt;
  TORCH_CHECK(min <= max, "choose_qparams: min ", min, " should be less than max ", max);
  return std::pair(low.clamp_max(0), high.clamp_min(0));
}

void check_range(const Tensor& input, int64_t quant_min, int64_t quant_max, ScalarType dtype) {
  as_float(input, "choose_qparams");
  check_dtype(dtype, "choose_qparams");
  TORCH_CHECK(quant_min <= 0 && quant_max >= 0 && quant_min < quant_max,
              "choose_qparams: codes from ", quant_min, " to ", quant_max);
}

/// The default for tensors without values.
std::tuple<Tensor, Tensor> plain_qparams(const Tensor& input) {
  return {at::full({1}, 1.0, input.options().dtype(at::kFloat)),
          at::zeros({1}, input.options().dtype(at::kLong))};
}

std::tuple<Tensor, Tensor> choose_qparams(const Tensor& input, int64_t quant_min, int64_t quant_max,
                                          double eps, ScalarType dtype) {
  check_range(input, quant_min, quant_max, dtype);
  if (input.is_meta()) return unknown_qparams(input);
  const auto range = range_of(input);
  if (!range) return plain_qparams(input);
  const auto& [low, high] = *range;
  const Tensor least = at::full({1}, eps, input.options().dtype(at::kFloat));
  const Tensor scale =
      at::maximum((high - low) / static_cast<double>(quant_max - quant_min), least);
  const Tensor zero_point = (low / scale).round().to(at::kInt).neg().add(quant_min);
  return {scale.to(at::kDouble), zero_point.clamp(quant_min, quant_max).to(at::kLong)};
}

std::tuple<Tensor, Tensor> choose_qparams_symmetric(const Tensor& input, int64_t quant_min,
                                                    int64_t quant_max, double eps,
                                                    ScalarType dtype) {
  check_range(input, quant_min, quant_max, dtype);
  if (input.is_meta()) return unknown_qparams(input);
  const auto range = range_of(input);
  if (!range) return plain_qparams(input);
  const Tensor top = at::maximum(-range->first, range->second);
  const Tensor least = at::full({1}, eps, input.options().dtype(at::kFloat));
  const Tensor scale = at::maximum(top / (static_cast<double>(quant_max - quant_min) / 2), least);
  constexpr int64_t kUnsignedMiddle = 128;
  return {scale.to(at::kDouble), at::full({1}, dtype == at::kByte ? kUnsignedMiddle : 0,
                                          input.options().dtype(at::kLong))};
}

Tensor convert_element_type(const Tensor& input, ScalarType dtype) { return input.to(dtype); }

void define_operators(torch::Library& library) {
  library.def(
      "quantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int "
      "quant_max, ScalarType dtype) -> Tensor",
      &quantize_per_tensor);
  library.def(
      "quantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min, "
      "int quant_max, ScalarType dtype) -> Tensor",
      &quantize_by_tensors);
  library.def(
      "quantize_per_tensor.tensor2(Tensor input, Tensor scale, Tensor zero_point, Tensor "
      "quant_min, Tensor quant_max, ScalarType dtype) -> Tensor",
      &quantize_by_all_tensors);
  library.def(
      "dequantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int "
      "quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
      &dequantize_per_tensor);
  library.def(
      "dequantize_per_tensor.tensor(Tensor input, Tensor scale, Tensor zero_point, int quant_min, "
      "int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
      &dequantize_by_tensors);
  library.def(
      "dequantize_per_tensor.tensor2(Tensor input, Tensor scale, Tensor zero_point, Tensor "
      "quant_min, Tensor quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
      &dequantize_by_all_tensors);
  library.def(
      "quantize_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, int "
      "quant_min, int quant_max, ScalarType dtype) -> Tensor",
      &quantize_per_channel);
  library.def(
      "dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis, int "
      "quant_min, int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor",
      &dequantize_per_channel);
  library.def(
      "fake_quant_per_channel(Tensor input, Tensor scales, Tensor zero_points, int axis, int "
      "quant_min, int quant_max) -> Tensor",
      &fake_quant_per_channel);
  library.def(
      "quantize_per_channel_group(Tensor input, Tensor scales, Tensor zero_points, int quant_min, "
      "int quant_max, ScalarType dtype, int group_size) -> Tensor",
      &quantize_per_channel_group);
  library.def(
      "dequantize_per_channel_group(Tensor input, Tensor scales, Tensor? zero_points, int "
      "quant_min, int quant_max, ScalarType dtype, int group_size, ScalarType output_dtype) -> "
      "Tensor",
      &dequantize_per_channel_group);
  library.def(
      "quantize_per_token(Tensor input, Tensor scales, Tensor zero_points, int quant_min, int "
      "quant_max, ScalarType dtype) -> Tensor",
      &quantize_per_token);
  library.def(
      "dequantize_per_token(Tensor input, Tensor scales, Tensor zero_points, int quant_min, int "
      "quant_max, ScalarType dtype, ScalarType output_dtype) -> Tensor",
      &dequantize_per_token);
  library.def(
      "choose_qparams.tensor(Tensor input, int quant_min, int quant_max, float eps, ScalarType "
      "dtype) -> (Tensor, Tensor)",
      &choose_qparams);
  library.def(
      "choose_qparams_symmetric.tensor(Tensor input, int quant_min, int quant_max, float eps, "
      "ScalarType dtype) -> (Tensor, Tensor)",
      &choose_qparams_symmetric);
  library.def("choose_qparams_per_token(Tensor input, ScalarType dtype) -> (Tensor, Tensor)",
              &choose_qparams_per_token);
  library.def(
      "choose_qparams_per_token_asymmetric(Tensor input, ScalarType dtype) -> (Tensor, Tensor)",
      &choose_qparams_per_token_asymmetric);
  library.def(
      "_choose_qparams_per_token_asymmetric_impl(Tensor input, ScalarType dtype) -> (Tensor, "
      "Tensor)",
      &choose_qparams_per_token_asymmetric);
  library.def("convert_element_type.no_fuse(Tensor input, ScalarType dtype) -> Tensor",
              &convert_element_type);
}

}  // namespace

void register_decomposed_operators() {
  static const std::unique_ptr<torch::Library> library = []() -> std::unique_ptr<torch::Library> {
    const bool is_defined = c10::Dispatcher::singleton()
                                .findSchema({"quantized_decomposed::quantize_per_tensor", ""})
                                .has_value();
    if (is_defined) return nullptr;
    auto made = std::make_unique<torch::Library>(torch::Library::FRAGMENT, "quantized_decomposed",
                                                 std::nullopt, __FILE__, __LINE__);
    define_operators(*made);
    return made;
  }();
}

}  // namespace lathe::ops
