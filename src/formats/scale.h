#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "formats/format.h"

namespace lathe::formats {

/// The scales of one tensor, by grid cell. kFloat32 uses values; kE4M3TwoLevel codes (E4M3) and
/// global_scale; kE8M0 codes. global_scale is also the FP8 scale of formats that are then_fp8.
struct ScalesView {
  ScaleKind kind = ScaleKind::kFloat32;
  std::span<const float> values;
  std::span<const uint8_t> codes;
  float global_scale = 1.0f;

  int64_t size() const;
  /// The float32 that elements of the cell are divided by: values[i], decode(codes[i]) *
  /// global_scale, 2^e.
  float effective(int64_t cell) const;
};

/// Where a kernel writes the scales that it computes: values for kFloat32, codes for the others.
struct MutableScalesView {
  std::span<float> values;
  std::span<uint8_t> codes;
};

/// Scales that own their memory.
struct Scales {
  ScaleKind kind = ScaleKind::kFloat32;
  std::vector<float> values;
  std::vector<uint8_t> codes;
  float global_scale = 1.0f;

  /// Room for `cells` scales of a kind.
  static Scales make(ScaleKind kind, int64_t cells, float global_scale = 1.0f);
  ScalesView view() const;
  MutableScalesView mutable_view();
};

/// float32 amax / bound, never subnormal: at least 2^-126. 1.0 if amax is 0, infinite or NaN.
float scale_from_amax(float amax, float bound);

/// The scale of the whole tensor: amax / (max_bound * scale_bound) for kE4M3TwoLevel, amax / 448
/// for formats that are then_fp8, 1.0 for the others.
float global_scale_from_amax(const Format& format, float tensor_amax);

/// The E4M3 code of clamp(block_amax / (bound * global_scale), 2^-9, 448); the code of 1.0 if
/// block_amax is 0, infinite or NaN.
uint8_t two_level_code_from_amax(float block_amax, float bound, float global_scale);

/// The sum of (x - y)^2 in order. Differences are float32 and their squares exact in float64: no
/// instruction set gives another sum.
double squared_error(std::span<const float> x, std::span<const float> y);

/// Four-over-six: of the codes that make the block's largest value 6 and 4 (1.5 times the amax),
/// the one with which the block errs less; the first if both err alike.
uint8_t four_over_six_code(std::span<const float> block, float global_scale);

/// The scales of a grid of amax values: the one place where an amax becomes a scale.
void scales_from_amax(const Format& format, std::span<const float> amax_grid, float global_scale,
                      MutableScalesView scales);
Scales scales_from_amax(const Format& format, std::span<const float> amax_grid,
                        float global_scale = 1.0f);

}  // namespace lathe::formats
