#include "export/torch_export/scheme_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/checked.h"

namespace lathe::exporting {
namespace {

struct CodeRange {
  DType dtype;
  int64_t min;
  int64_t max;
};

/// The dtypes of codes that quantized_decomposed takes, and their ranges.
constexpr auto kCodes = std::to_array<CodeRange>({
    {DType::kU8, 0, 255},
    {DType::kI8, -128, 127},
    {DType::kU16, 0, 65535},
    {DType::kI16, -32768, 32767},
    {DType::kI32, -2147483648LL, 2147483647LL},
    {DType::kF8E4M3, -448, 448},
    {DType::kF8E5M2, -57344, 57344},
});

const CodeRange* range_of(DType dtype) {
  const auto found = std::find_if(kCodes.begin(), kCodes.end(),
                                  [&](const CodeRange& range) { return range.dtype == dtype; });
  return found == kCodes.end() ? nullptr : &*found;
}

std::string zero_points_problem(const QdqScheme& scheme) {
  if (!scheme.zero_points.empty() && !scheme.scales.empty() &&
      scheme.zero_points.size() != scheme.scales.size()) {
    return fmt::format("{} zero points for {} scales", scheme.zero_points.size(),
                       scheme.scales.size());
  }
  for (int64_t zero_point : scheme.zero_points) {
    if (is_float8(scheme.dtype) && zero_point != 0)
      return fmt::format("{} with a zero point of {}", dtype_torch_name(scheme.dtype), zero_point);
    if (zero_point < scheme.quant_min || zero_point > scheme.quant_max) {
      return fmt::format("zero point {} is outside of [{}, {}]", zero_point, scheme.quant_min,
                         scheme.quant_max);
    }
  }
  return {};
}

std::string group_problem(const QdqScheme& scheme, const std::vector<int64_t>& shape) {
  const int64_t size = *scheme.group_size;
  if (scheme.axis) return "both an axis and groups";
  if (is_float8(scheme.dtype)) return "groups of float8";
  if (shape.size() != 2) return fmt::format("groups need two dimensions, found {}", shape.size());
  if (size <= 1) return fmt::format("groups of {}", size);
  if (shape[1] % size != 0) return fmt::format("{} columns are no groups of {}", shape[1], size);
  return {};
}

}  // namespace

bool is_float8(DType dtype) { return dtype == DType::kF8E4M3 || dtype == DType::kF8E5M2; }

size_t scale_count(const QdqScheme& scheme, const std::vector<int64_t>& shape) {
  if (scheme.axis) return static_cast<size_t>(shape.at(static_cast<size_t>(*scheme.axis)));
  if (scheme.group_size)
    return static_cast<size_t>(shape.at(0) * (shape.at(1) / *scheme.group_size));
  return 1;
}

std::string scheme_problem(const QdqScheme& scheme) {
  const CodeRange* range = range_of(scheme.dtype);
  if (range == nullptr)
    return fmt::format("codes of {}, which PyTorch does not quantize to",
                       dtype_torch_name(scheme.dtype));
  if (scheme.quant_min < range->min || scheme.quant_max > range->max ||
      scheme.quant_min >= scheme.quant_max) {
    return fmt::format("codes from {} to {} in {}", scheme.quant_min, scheme.quant_max,
                       dtype_torch_name(scheme.dtype));
  }
  return zero_points_problem(scheme);
}

std::string weight_scheme_problem(const QdqScheme& scheme, const std::vector<int64_t>& shape) {
  if (auto problem = scheme_problem(scheme); !problem.empty()) return problem;
  if (!checked_numel(shape)) return "a shape with too many elements";
  if (scheme.group_size) return group_problem(scheme, shape);
  if (scheme.axis && (*scheme.axis < 0 || *scheme.axis >= static_cast<int64_t>(shape.size())))
    return fmt::format("axis {} of {} dimensions", *scheme.axis, shape.size());
  return {};
}

std::string scales_problem(const QdqScheme& scheme, size_t count) {
  if (scheme.scales.size() != count)
    return fmt::format("{} scales, expected {}", scheme.scales.size(), count);
  for (float scale : scheme.scales) {
    if (!(scale > 0) || !std::isfinite(scale) || !std::isfinite(1.0f / scale))
      return fmt::format("scale {}, expected a positive number whose inverse is finite", scale);
  }
  return {};
}

}  // namespace lathe::exporting
