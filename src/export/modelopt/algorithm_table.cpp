#include "export/modelopt/algorithm_table.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace lathe::exporting {
namespace {

using formats::Format;
using formats::Packing;
using formats::ScaleKind;

/// MX formats that the dialect has no name for, stored as it stores MXFP8.
constexpr Algorithm microscaling_extension(std::string_view name, Format format, Packing packing,
                                           DType weight_dtype) {
  return {.name = name,
          .weight = format,
          .input = format,
          .input_dynamic = true,
          .packing = packing,
          .weight_dtype = weight_dtype,
          .group_size_key = true,
          .extension = true};
}

constexpr std::array kModelopt = {
    Algorithm{.name = "FP8",
              .weight = formats::kFp8,
              .input = formats::kFp8,
              .weight_dtype = DType::kF8E4M3,
              .scale_shape = ScaleShape::kScalar,
              .config_groups = true},
    Algorithm{.name = "FP8_PER_CHANNEL_PER_TOKEN",
              .weight = formats::kFp8PerChannel,
              .input = formats::kFp8PerChannel,
              .input_dynamic = true,
              .weight_dtype = DType::kF8E4M3,
              .scale_shape = ScaleShape::kRows},
    Algorithm{.name = "fp8_pb_wo",
              .weight = formats::kFp8Block2d,
              .weight_dtype = DType::kF8E4M3,
              .scale_shape = ScaleShape::kBlocks4d},
    Algorithm{.name = "W8A8_SQ_PER_CHANNEL",
              .weight = formats::kInt8PerChannel,
              .input = formats::kInt8PerTensor,
              .pre_quant_scale = true,
              .weight_dtype = DType::kI8,
              .scale_shape = ScaleShape::kRows},
    Algorithm{.name = "W8A8_SQ_PER_CHANNEL",
              .weight = formats::kInt8PerTensor,
              .input = formats::kInt8PerTensor,
              .pre_quant_scale = true,
              .weight_dtype = DType::kI8,
              .scale_shape = ScaleShape::kRows},
    Algorithm{.name = "W8A16",
              .weight = formats::kInt8PerChannel,
              .weight_dtype = DType::kI8,
              .scale_shape = ScaleShape::kRows},
    Algorithm{.name = "W8A16",
              .weight = formats::kInt8PerTensor,
              .weight_dtype = DType::kI8,
              .scale_shape = ScaleShape::kRows},
    Algorithm{.name = "W4A16_AWQ",
              .weight = formats::kInt4Block,
              .any_group_size = true,
              .pre_quant_scale = true,
              .packing = Packing::kNibbleRowPairs,
              .group_size_key = true,
              .zero_point_keys = true},
    Algorithm{.name = "W4A8_AWQ",
              .weight = formats::kInt4ThenFp8,
              .input = formats::kFp8,
              .any_group_size = true,
              .pre_quant_scale = true,
              .packing = Packing::kNibbleRowPairs,
              .group_size_key = true,
              .zero_point_keys = true},
    Algorithm{.name = "NVFP4",
              .weight = formats::kNvfp4,
              .input = formats::kNvfp4,
              .packing = Packing::kNibbles,
              .group_size_key = true,
              .config_groups = true},
    Algorithm{.name = "NVFP4_AWQ",
              .weight = formats::kNvfp4,
              .input = formats::kNvfp4,
              .pre_quant_scale = true,
              .packing = Packing::kNibbles,
              .group_size_key = true,
              .zero_point_keys = true},
    Algorithm{.name = "W4A16_NVFP4",
              .weight = formats::kNvfp4,
              .any_group_size = true,
              .packing = Packing::kNibbles,
              .group_size_key = true,
              .config_groups = true},
    Algorithm{.name = "W4A8_NVFP4_FP8",
              .weight = formats::kNvfp4Block32,
              .input = formats::kFp8,
              .any_group_size = true,
              .packing = Packing::kNibbles,
              .group_size_key = true},
    Algorithm{.name = "MXFP8",
              .weight = formats::kMxfp8,
              .input = formats::kMxfp8,
              .input_dynamic = true,
              .weight_dtype = DType::kF8E4M3,
              .group_size_key = true},
    Algorithm{.name = "mxfp4",
              .weight = formats::kMxfp4,
              .input = formats::kMxfp4,
              .input_dynamic = true,
              .packing = Packing::kNibbles},
    // The groups tell it from the one above, which has none.
    Algorithm{.name = "mxfp4",
              .weight = formats::kMxfp4,
              .packing = Packing::kNibbles,
              .config_groups = true},
    // Without calibration engines scale these inputs as they come.
    Algorithm{.name = "W4A8_MXFP4_FP8",
              .weight = formats::kMxfp4,
              .input = formats::kFp8,
              .input_dynamic = true,
              .packing = Packing::kNibbles,
              .group_size_key = true},
    Algorithm{.name = "W4A8_MXFP4_FP8",
              .weight = formats::kMxfp4,
              .input = formats::kFp8,
              .packing = Packing::kNibbles,
              .group_size_key = true},
    microscaling_extension("MXFP6", formats::kMxfp6, Packing::kSixBits, DType::kU8),
    microscaling_extension("MXFP6_E2M3", formats::kMxfp6E2M3, Packing::kSixBits, DType::kU8),
    microscaling_extension("MXINT8", formats::kMxint8, Packing::kBytes, DType::kI8),
};

bool weight_fits(const Algorithm& algorithm, Format weight) {
  const bool grouped = weight.block.rows == 1 && weight.block.cols > 0;
  const bool two_level = weight.scale == ScaleKind::kE4M3TwoLevel;
  const bool known = !two_level || weight.block.cols == 16 || weight.block.cols == 32;
  if (algorithm.any_group_size && grouped && known) weight.block = algorithm.weight.block;
  return same_storage(algorithm.weight, weight);
}

bool input_fits(const Algorithm& algorithm, const LayerScheme& scheme) {
  if (!algorithm.input || !scheme.input) {
    return algorithm.input.has_value() == scheme.input.has_value();
  }
  return algorithm.input_dynamic == scheme.input_dynamic &&
         same_storage(*algorithm.input, *scheme.input);
}

DType scale_dtype(ScaleKind kind) {
  if (kind == ScaleKind::kE4M3TwoLevel) return DType::kF8E4M3;
  return kind == ScaleKind::kE8M0 ? DType::kU8 : DType::kF32;
}

PartShape part_shape(ScaleShape shape) {
  switch (shape) {
    case ScaleShape::kScalar:
      return PartShape::kScalar;
    case ScaleShape::kRows:
      return PartShape::kRows;
    case ScaleShape::kGrid:
      return PartShape::kGrid;
    case ScaleShape::kBlocks4d:
      return PartShape::kBlocks4d;
  }
  throw_internal("no scale shape {}", static_cast<int>(shape));
}

}  // namespace

const Algorithm* find_algorithm(const LayerScheme& scheme, bool need_pre_quant_scale) {
  const auto found = std::ranges::find_if(kModelopt, [&](const Algorithm& algorithm) {
    return weight_fits(algorithm, scheme.weight) && input_fits(algorithm, scheme) &&
           (algorithm.pre_quant_scale || !need_pre_quant_scale);
  });
  return found == kModelopt.end() ? nullptr : &*found;
}

LayerStorage layer_storage(const LayerScheme& scheme, const Algorithm& algorithm,
                           DType model_dtype) {
  LayerStorage storage{.name = algorithm.name,
                       .packing = algorithm.packing,
                       .parts = {},
                       .extension = algorithm.extension};
  const auto add = [&](LayerPart part, std::string_view suffix, DType dtype, PartShape shape) {
    storage.parts.push_back({part, suffix, dtype, shape});
  };
  add(LayerPart::kWeight, "weight", algorithm.weight_dtype, PartShape::kPacked);
  add(LayerPart::kWeightScale, "weight_scale", scale_dtype(scheme.weight.scale),
      part_shape(algorithm.scale_shape));
  if (algorithm.has_scale_2())
    add(LayerPart::kGlobalScale, "weight_scale_2", DType::kF32, PartShape::kScalar);
  if (algorithm.has_input_scale())
    add(LayerPart::kInputScale, "input_scale", DType::kF32, PartShape::kScalar);
  if (scheme.pre_quant_scale)
    add(LayerPart::kPreQuantScale, "pre_quant_scale", model_dtype, PartShape::kCols);
  return storage;
}

}  // namespace lathe::exporting
