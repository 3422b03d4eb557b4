#include "export/hf_checkpoint/scale_storage.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/float16.h"

namespace lathe::exporting {
namespace {

constexpr float kLargestF16 = 65504.0f;
constexpr float kSmallestF16 = 0x1p-24f;

/// E4M3 codes are m * 2^e with m in 8..15, or fewer bits: what holds for these m holds for all.
bool reads_back(float scale) {
  const float reciprocal = 1.0f / scale;
  if (!std::isfinite(reciprocal) || 1.0f / reciprocal != scale) return false;
  for (float significand = 8; significand < 16; ++significand) {
    if (significand / reciprocal != significand * scale) return false;
  }
  return true;
}

float fitted(const StoredPart& part, float scale) {
  return part.reciprocal ? reciprocal_scale(scale) : stored_scale(scale, part.dtype);
}

template <typename Convert>
std::vector<std::byte> half_bytes(std::span<const float> values, const Convert& convert) {
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(convert(value));
  const auto raw = std::as_bytes(std::span(halves));
  return {raw.begin(), raw.end()};
}

}  // namespace

float stored_scale(float scale, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return scale;
    case DType::kBF16: {
      const float rounded = float_from_bf16(bf16_from_float(scale));
      return std::isfinite(rounded) ? rounded : float_from_bf16(0x7f7f);
    }
    case DType::kF16:
      return float_from_f16(f16_from_float(std::clamp(scale, kSmallestF16, kLargestF16)));
    default:
      throw_internal("scales are not stored as {}", dtype_name(dtype));
  }
}

float reciprocal_scale(float scale) {
  // In ulps. Of the 2^23 significands every fifth will do; the widest gap, near 1.414, is 3328.
  constexpr int kFarthest = 4096;
  float below = scale;
  float above = scale;
  for (int i = 0; i < kFarthest; ++i) {
    if (reads_back(below)) return below;
    if (reads_back(above)) return above;
    below = std::nextafter(below, 0.0f);
    above = std::nextafter(above, std::numeric_limits<float>::infinity());
  }
  throw_internal("no scale near {} has an exact reciprocal", scale);
}

void fit_weight_scales(const LayerStorage& storage, formats::Scales& scales) {
  if (const StoredPart* part = storage.find(LayerPart::kGlobalScale))
    scales.global_scale = fitted(*part, scales.global_scale);
  const StoredPart* part = storage.find(LayerPart::kWeightScale);
  if (scales.kind != formats::ScaleKind::kFloat32 || part == nullptr) return;
  for (float& scale : scales.values) scale = fitted(*part, scale);
}

void fit_input_scale(const LayerStorage& storage, formats::Scales& scales) {
  const StoredPart* part = storage.find(LayerPart::kInputScale);
  if (part == nullptr) return;
  if (scales.kind == formats::ScaleKind::kE4M3TwoLevel)
    scales.global_scale = fitted(*part, scales.global_scale);
  for (float& scale : scales.values) scale = fitted(*part, scale);
}

std::vector<std::byte> scale_bytes(std::span<const float> scales, DType dtype) {
  if (dtype == DType::kBF16) return half_bytes(scales, bf16_from_float);
  if (dtype == DType::kF16) return half_bytes(scales, f16_from_float);
  check_internal(dtype == DType::kF32, "scales are not stored as {}", dtype_name(dtype));
  const auto raw = std::as_bytes(scales);
  return {raw.begin(), raw.end()};
}

}  // namespace lathe::exporting
