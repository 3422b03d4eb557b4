#include "formats/format.h"

#include <fmt/format.h>

#include <array>

#include "base/checked.h"
#include "base/error.h"

namespace lathe::formats {

namespace {
constexpr std::array<NamedFormat, 18> kNamedFormats{{
    {"fp8", kFp8},
    {"fp8_per_channel", kFp8PerChannel},
    {"fp8_block_2d", kFp8Block2d},
    {"fp8_e5m2", kFp8E5M2},
    {"int8", kInt8PerTensor},
    {"int8_per_channel", kInt8PerChannel},
    {"int4_block", kInt4Block},
    {"int4_block_then_fp8", kInt4ThenFp8},
    {"nvfp4", kNvfp4},
    {"nvfp4_four_over_six", kNvfp4FourOverSix},
    {"nvfp4_block_32", kNvfp4Block32},
    {"nvfp4_block_32_fp8", kNvfp4Block32Fp8},
    {"mxfp8", kMxfp8},
    {"mxfp8_e5m2", kMxfp8E5M2},
    {"mxfp6", kMxfp6},
    {"mxfp6_e2m3", kMxfp6E2M3},
    {"mxfp4", kMxfp4},
    {"mxint8", kMxint8},
}};

int64_t cells(int64_t block, int64_t extent) { return block == 0 ? 1 : ceil_div(extent, block); }
}  // namespace

GridShape grid_shape(BlockShape block, int64_t rows, int64_t cols) {
  check_internal(block.rows >= 0 && block.cols >= 0 && rows >= 0 && cols >= 0,
                 "blocks of {}x{} in a matrix of {}x{}", block.rows, block.cols, rows, cols);
  return {cells(block.rows, rows), cells(block.cols, cols)};
}

bool Format::four_over_six() const {
  return scale == ScaleKind::kE4M3TwoLevel && scale_bound == kFourOverSixBound;
}

double bits_per_weight(const Format& format) {
  const double scale_bits = format.scale == ScaleKind::kFloat32 ? 32 : 8;
  const double block = static_cast<double>(format.block.rows * format.block.cols);
  return format.element.bits + (block == 0 ? 0 : scale_bits / block);
}

std::span<const NamedFormat> named_formats() { return kNamedFormats; }

std::optional<Format> format_from_name(std::string_view name) {
  for (const NamedFormat& named : kNamedFormats) {
    if (named.name == name) return named.format;
  }
  return std::nullopt;
}

std::string format_name(const Format& format) {
  for (const NamedFormat& named : kNamedFormats) {
    if (named.format == format) return std::string(named.name);
  }
  return fmt::format("{} {}x{} {}{}", element_name(format.element), format.block.rows,
                     format.block.cols, scale_kind_name(format.scale),
                     format.then_fp8 ? " then fp8" : "");
}

std::string_view scale_kind_name(ScaleKind kind) {
  switch (kind) {
    case ScaleKind::kFloat32:
      return "float32";
    case ScaleKind::kE4M3TwoLevel:
      return "e4m3_two_level";
    case ScaleKind::kE8M0:
      return "e8m0";
  }
  throw_internal("scale kind {}", static_cast<int>(kind));
}

}  // namespace lathe::formats
