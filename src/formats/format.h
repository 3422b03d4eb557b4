#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/element.h"

namespace lathe::formats {

/// How scales are stored.
enum class ScaleKind : uint8_t {
  kFloat32,       // a float32 for each block
  kE4M3TwoLevel,  // NVFP4: an E4M3 code for each block, and one float32 for the tensor
  kE8M0,          // MX: a power of two for each block
};

/// The part of a [rows, cols] matrix that shares one scale; 0 is the whole extent. Per tensor {0,
/// 0}, per channel (or per token) {1, 0}, blocks along K {1, 128}, 2-D blocks {128, 128}. Blocks at
/// the edge may be smaller.
struct BlockShape {
  int64_t rows = 0;
  int64_t cols = 0;

  bool operator==(const BlockShape&) const = default;
};
inline constexpr BlockShape kPerTensor{0, 0};
inline constexpr BlockShape kPerChannel{1, 0};

/// The grid of a matrix's scales: [ceil(rows / block.rows), ceil(cols / block.cols)], row-major.
struct GridShape {
  int64_t rows = 1;
  int64_t cols = 1;

  int64_t size() const { return rows * cols; }
  bool operator==(const GridShape&) const = default;
};
GridShape grid_shape(BlockShape block, int64_t rows, int64_t cols);

/// A number format: what an element is, what shares a scale, how the scale is stored. The stored
/// value of x is encode(element, x / scale) with a float32 division; it stands for decode(element,
/// code) * scale in float32.
struct Format {
  Element element;
  BlockShape block;
  ScaleKind scale = ScaleKind::kFloat32;
  /// kE4M3TwoLevel: the block scale that the block with the tensor's amax gets; 256 for
  /// four-over-six, 448 / 6 where weights become FP8, so that none is above 448.
  float scale_bound = 448.0f;
  /// The value is rounded to E4M3 once more, with global_scale as its one scale: W4A8, whose
  /// kernels turn 4-bit weights into FP8. For kFloat32 scales.
  bool then_fp8 = false;

  /// Whether a block's largest value becomes 6 or 4, whichever has the smaller squared error: where
  /// block scales are computed from the data, both are tried.
  bool four_over_six() const;
  /// Whether there is a float32 scale of the whole tensor beside those of the blocks.
  bool has_global_scale() const { return scale == ScaleKind::kE4M3TwoLevel || then_fp8; }

  bool operator==(const Format&) const = default;
};

inline constexpr Format kFp8{kE4M3, kPerTensor};
inline constexpr Format kFp8PerChannel{kE4M3, kPerChannel};
inline constexpr Format kFp8Block2d{kE4M3, {128, 128}};
inline constexpr Format kFp8E5M2{kE5M2, kPerTensor};
inline constexpr Format kInt8PerTensor{kInt8, kPerTensor};
inline constexpr Format kInt8PerChannel{kInt8, kPerChannel};
inline constexpr Format kInt4Block{kInt4, {1, 128}};
/// INT4 blocks whose values become FP8: the weights of W4A8.
inline constexpr Format kInt4ThenFp8{kInt4, {1, 128}, ScaleKind::kFloat32, 448.0f, true};
inline constexpr Format kNvfp4{kE2M1, {1, 16}, ScaleKind::kE4M3TwoLevel};
inline constexpr float kFourOverSixBound = 256.0f;
inline constexpr Format kNvfp4FourOverSix{
    kE2M1, {1, 16}, ScaleKind::kE4M3TwoLevel, kFourOverSixBound};
inline constexpr Format kNvfp4Block32{kE2M1, {1, 32}, ScaleKind::kE4M3TwoLevel};
/// NVFP4 weights beside FP8 inputs: kernels turn them into FP8.
inline constexpr float kFp8ProductBound = 448.0f / 6.0f;
static_assert(6.0f * kFp8ProductBound == 448.0f);
inline constexpr Format kNvfp4Block32Fp8{
    kE2M1, {1, 32}, ScaleKind::kE4M3TwoLevel, kFp8ProductBound};
inline constexpr Format kMxfp8{kE4M3, {1, 32}, ScaleKind::kE8M0};
inline constexpr Format kMxfp8E5M2{kE5M2, {1, 32}, ScaleKind::kE8M0};
inline constexpr Format kMxfp6{kE3M2, {1, 32}, ScaleKind::kE8M0};
inline constexpr Format kMxfp6E2M3{kE2M3, {1, 32}, ScaleKind::kE8M0};
inline constexpr Format kMxfp4{kE2M1, {1, 32}, ScaleKind::kE8M0};
inline constexpr Format kMxint8{
    {.kind = ElementKind::kInt, .bits = 8, .narrow_range = true}, {1, 32}, ScaleKind::kE8M0};

/// Bits of an element with its share of the block's scale: 4.5 for NVFP4, 4.25 for MXFP4. Scales of
/// whole rows, columns or tensors count as nothing.
double bits_per_weight(const Format& format);

/// The formats by name: "fp8", "fp8_per_channel", "int4_block", "nvfp4", "mxfp8", ...
struct NamedFormat {
  std::string_view name;
  Format format;
};
std::span<const NamedFormat> named_formats();
std::optional<Format> format_from_name(std::string_view name);
/// The name in the table, or a description ("int4 1x64 float32") of a format that is not in it.
std::string format_name(const Format& format);

/// "float32", "e4m3_two_level", "e8m0".
std::string_view scale_kind_name(ScaleKind kind);

}  // namespace lathe::formats
