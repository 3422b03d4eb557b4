#include "formats/scale.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "formats/e8m0.h"
#include "formats/float_element.h"

namespace lathe::formats {

namespace {
/// Zero gives no range to map, NaN and infinity none that makes sense: the callers' scale is
/// then 1.
bool has_range(float amax) { return std::isfinite(amax) && amax > 0; }

constexpr float kSmallestBlockScale = 0x1p-9f;
}  // namespace

int64_t ScalesView::size() const {
  return static_cast<int64_t>(kind == ScaleKind::kFloat32 ? values.size() : codes.size());
}

float ScalesView::effective(int64_t cell) const {
  const auto i = static_cast<size_t>(cell);
  switch (kind) {
    case ScaleKind::kFloat32:
      return values[i];
    case ScaleKind::kE4M3TwoLevel:
      return decode_float(kE4M3Spec, codes[i]) * global_scale;
    case ScaleKind::kE8M0:
      return e8m0_decode(codes[i]);
  }
  throw_internal("scale kind {}", static_cast<int>(kind));
}

Scales Scales::make(ScaleKind kind, int64_t cells, float global_scale) {
  Scales scales{.kind = kind, .values = {}, .codes = {}, .global_scale = global_scale};
  const auto size = static_cast<size_t>(cells);
  if (kind == ScaleKind::kFloat32) {
    scales.values.resize(size);
  } else {
    scales.codes.resize(size);
  }
  return scales;
}

ScalesView Scales::view() const { return {kind, values, codes, global_scale}; }

MutableScalesView Scales::mutable_view() { return {values, codes}; }

float scale_from_amax(float amax, float bound) {
  if (!has_range(amax)) return 1.0f;
  return std::max(amax / bound, std::numeric_limits<float>::min());
}

float global_scale_from_amax(const Format& format, float tensor_amax) {
  if (format.then_fp8) return scale_from_amax(tensor_amax, kE4M3Spec.max_finite);
  if (format.scale != ScaleKind::kE4M3TwoLevel) return 1.0f;
  return scale_from_amax(tensor_amax, max_bound(format.element) * format.scale_bound);
}

uint8_t two_level_code_from_amax(float block_amax, float bound, float global_scale) {
  if (!has_range(block_amax)) return encode_float(kE4M3Spec, 1.0f);
  const float scale = block_amax / (bound * global_scale);
  return encode_float(kE4M3Spec, std::clamp(scale, kSmallestBlockScale, kE4M3Spec.max_finite));
}

double squared_error(std::span<const float> x, std::span<const float> y) {
  double sum = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = x[i] - y[i];
    sum += difference * difference;
  }
  return sum;
}

uint8_t four_over_six_code(std::span<const float> block, float global_scale) {
  float amax = 0.0f;
  for (const float x : block) amax = std::max(amax, std::fabs(x));
  const auto error = [&](uint8_t code) {
    const float scale = decode_float(kE4M3Spec, code) * global_scale;
    std::vector<float> rounded;
    for (const float x : block) rounded.push_back(decode(kE2M1, encode(kE2M1, x / scale)) * scale);
    return squared_error(block, rounded);
  };
  const uint8_t six = two_level_code_from_amax(amax, kE2M1Spec.max_finite, global_scale);
  const uint8_t four = two_level_code_from_amax(1.5f * amax, kE2M1Spec.max_finite, global_scale);
  return error(four) < error(six) ? four : six;
}

void scales_from_amax(const Format& format, std::span<const float> amax_grid, float global_scale,
                      MutableScalesView scales) {
  const size_t room =
      format.scale == ScaleKind::kFloat32 ? scales.values.size() : scales.codes.size();
  check_internal(room == amax_grid.size(), "room for {} scales, {} amax values", room,
                 amax_grid.size());
  const float bound = max_bound(format.element);
  for (size_t i = 0; i < amax_grid.size(); ++i) {
    switch (format.scale) {
      case ScaleKind::kFloat32:
        scales.values[i] = scale_from_amax(amax_grid[i], bound);
        break;
      case ScaleKind::kE4M3TwoLevel:
        scales.codes[i] = two_level_code_from_amax(amax_grid[i], bound, global_scale);
        break;
      case ScaleKind::kE8M0:
        scales.codes[i] = e8m0_from_amax(amax_grid[i], bound);
        break;
    }
  }
}

Scales scales_from_amax(const Format& format, std::span<const float> amax_grid,
                        float global_scale) {
  Scales scales = Scales::make(format.scale, static_cast<int64_t>(amax_grid.size()), global_scale);
  scales_from_amax(format, amax_grid, global_scale, scales.mutable_view());
  return scales;
}

}  // namespace lathe::formats
