#include "quantization/quantizer_format.h"

#include "base/error.h"

namespace lathe::quantization {
namespace {

using formats::BlockShape;
using formats::Element;
using formats::ScaleKind;

Element element_of(const QuantizerAttributes& attributes, const std::string& where) {
  const NumBits& bits = attributes.num_bits;
  if (bits == kE4M3) return formats::kE4M3;
  if (bits == kE5M2) return formats::kE5M2;
  if (bits == kE2M1) return formats::kE2M1;
  if (bits == kE3M2) return formats::kE3M2;
  if (bits == kE2M3) return formats::kE2M3;
  if (bits.is_float() || bits.bits < 2 || bits.bits > 8) {
    throw_user("{}: numbers of {} are not supported", where, describe(attributes));
  }
  Element element = formats::int_element(bits.bits);
  element.is_unsigned = attributes.unsigned_;
  element.narrow_range = attributes.narrow_range;
  return element;
}

ScaleKind scale_kind_of(const BlockSizes& blocks, const std::string& where) {
  if (!blocks.scale_bits) return ScaleKind::kFloat32;
  if (*blocks.scale_bits == kE4M3) return ScaleKind::kE4M3TwoLevel;
  if (*blocks.scale_bits == kE8M0) return ScaleKind::kE8M0;
  throw_user("{}: scale_bits must be [4, 3] or [8, 0]", where);
}

/// Sizes along the last axis and the one before it; other axes are not blocked.
BlockShape block_shape_of(const BlockSizes& blocks, const std::string& where) {
  BlockShape shape{1, 0};
  for (const auto& [axis, size] : blocks.sizes) {
    const int64_t length = size.value_or(0);
    if (axis == -1) {
      shape.cols = length;
    } else if (axis == -2) {
      shape.rows = length;
    } else {
      throw_user("{}: block_sizes of axis {} are not supported, only those of -1 and -2", where,
                 axis);
    }
  }
  return shape;
}

void refuse_unsupported(const QuantizerAttributes& attributes, const std::string& where) {
  if (attributes.calibrator == Calibrator::kHistogram) {
    throw_user("{}: the histogram calibrator is not supported; use max", where);
  }
  if (attributes.block_sizes && !attributes.block_sizes->scale_block_sizes.empty()) {
    throw_user("{}: scale_block_sizes are not supported", where);
  }
}

}  // namespace

bool QuantizerFormat::uses_amax() const {
  return format.scale == ScaleKind::kE4M3TwoLevel ||
         (format.scale == ScaleKind::kFloat32 && !dynamic);
}

BlockShape QuantizerFormat::amax_block() const {
  return format.scale == ScaleKind::kFloat32 ? format.block : formats::kPerTensor;
}

QuantizerFormat quantizer_format(const QuantizerAttributes& attributes, const std::string& where) {
  refuse_unsupported(attributes, where);
  QuantizerFormat result;
  result.format.element = element_of(attributes, where);
  result.dynamic = attributes.dynamic;
  if (attributes.use_constant_amax) result.constant_amax = 448.0f;
  if (attributes.constant_amax)
    result.constant_amax = static_cast<float>(*attributes.constant_amax);
  if (!attributes.axis.empty()) {
    if (attributes.axis != std::vector<int>{0}) throw_user("{}: only axis 0 can be kept", where);
    result.format.block = formats::kPerChannel;
  }
  if (attributes.block_sizes) {
    result.format.block = block_shape_of(*attributes.block_sizes, where);
    result.format.scale = scale_kind_of(*attributes.block_sizes, where);
    const bool scaled = result.format.scale != ScaleKind::kFloat32;
    result.static_blocks = !attributes.block_sizes->dynamic && !result.dynamic;
    result.dynamic = result.dynamic || attributes.block_sizes->dynamic || scaled;
    if (attributes.block_sizes->four_over_six) {
      result.format.scale_bound = formats::kFourOverSixBound;
    }
    // MX integers are symmetric: -128 would need the next power of two.
    if (result.format.scale == ScaleKind::kE8M0 && !attributes.num_bits.is_float())
      result.format.element.narrow_range = true;
  }
  result.is_cast = attributes.use_constant_amax;
  result.bias = attributes.bias;
  result.rotate = attributes.rotate;
  const bool one_amax = !result.uses_amax() || result.amax_block() == formats::kPerTensor;
  if (result.constant_amax && !one_amax) {
    throw_user("{}: a constant amax is for one scale a tensor, not for {}", where,
               describe(attributes));
  }
  if (result.bias && !one_amax) {
    throw_user(
        "{}: affine quantization (bias) is for one scale a tensor or dynamic blocks, not for "
        "{}",
        where, describe(attributes));
  }
  return result;
}

QuantizerFormat quantizer_format(std::span<const QuantizerAttributes> stages,
                                 const std::string& where) {
  check_internal(!stages.empty(), "{} has no attributes", where);
  QuantizerFormat result = quantizer_format(stages[0], where);
  if (stages.size() == 1) return result;
  const QuantizerFormat second = quantizer_format(stages[1], where);
  const bool is_integer = result.format.element.kind == formats::ElementKind::kInt &&
                          result.format.scale == ScaleKind::kFloat32 && !result.dynamic;
  const bool plain = !result.bias && !result.rotate.enable && !result.constant_amax;
  const bool then_fp8 = second == QuantizerFormat{.format = formats::kFp8};
  if (stages.size() > 2 || !is_integer || !plain || !then_fp8) {
    throw_user(
        "{}: a sequential quantizer is integers with static scales and then fp8 per-tensor, "
        "found {}",
        where, describe(stages));
  }
  result.format.then_fp8 = true;
  return result;
}

}  // namespace lathe::quantization
