#include "frontends/huggingface/quant_algos.h"

#include <array>

namespace lathe::frontends {
namespace {

using formats::Packing;

constexpr formats::Format kFp8PerToken = formats::kFp8PerChannel;

/// Lathe's own names.
constexpr QuantAlgo microscaling(std::string_view name, formats::Format format, Packing packing,
                                 DType weight_dtype) {
  return {.name = name,
          .weight = format,
          .packing = packing,
          .weight_dtype = weight_dtype,
          .scale_shape = WeightScaleShape::kBlocks,
          .scale_dtype = DType::kU8,
          .input = format};
}

constexpr std::array kAlgos = {
    QuantAlgo{.name = "FP8",
              .weight = formats::kFp8,
              .weight_dtype = DType::kF8E4M3,
              .input = formats::kFp8,
              .has_input_scale = true},
    QuantAlgo{.name = "FP8_PER_CHANNEL_PER_TOKEN",
              .weight = formats::kFp8PerChannel,
              .weight_dtype = DType::kF8E4M3,
              .scale_shape = WeightScaleShape::kRows,
              .input = kFp8PerToken},
    QuantAlgo{.name = "W8A8_SQ_PER_CHANNEL",
              .weight = formats::kInt8PerChannel,
              .weight_dtype = DType::kI8,
              .scale_shape = WeightScaleShape::kRows,
              .input = formats::kInt8PerTensor,
              .has_input_scale = true,
              .may_have_pre_quant_scale = true},
    QuantAlgo{.name = "W8A16",
              .weight = formats::kInt8PerChannel,
              .weight_dtype = DType::kI8,
              .scale_shape = WeightScaleShape::kRows},
    QuantAlgo{.name = "W4A16_AWQ",
              .weight = formats::kInt4Block,
              .packing = Packing::kNibbleRowPairs,
              .scale_shape = WeightScaleShape::kBlocks,
              .may_have_pre_quant_scale = true},
    QuantAlgo{.name = "NVFP4",
              .weight = formats::kNvfp4,
              .packing = Packing::kNibbles,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kF8E4M3,
              .has_weight_scale_2 = true,
              .input = formats::kNvfp4,
              .has_input_scale = true},
    QuantAlgo{.name = "NVFP4_AWQ",
              .weight = formats::kNvfp4,
              .packing = Packing::kNibbles,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kF8E4M3,
              .has_weight_scale_2 = true,
              .input = formats::kNvfp4,
              .has_input_scale = true,
              .may_have_pre_quant_scale = true},
    QuantAlgo{.name = "W4A16_NVFP4",
              .weight = formats::kNvfp4,
              .packing = Packing::kNibbles,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kF8E4M3,
              .has_weight_scale_2 = true},
    QuantAlgo{.name = "MXFP8",
              .weight = formats::kMxfp8,
              .weight_dtype = DType::kF8E4M3,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kU8,
              .input = formats::kMxfp8},
    QuantAlgo{.name = "mxfp4",
              .weight = formats::kMxfp4,
              .packing = Packing::kNibbles,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kU8,
              .input = formats::kMxfp4},
    QuantAlgo{.name = "mxfp4",
              .weight = formats::kMxfp4,
              .packing = Packing::kNibbles,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kU8},
    QuantAlgo{.name = "W4A8_MXFP4_FP8",
              .weight = formats::kMxfp4,
              .packing = Packing::kNibbles,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kU8,
              .input = formats::kFp8,
              .may_have_input_scale = true},
    QuantAlgo{.name = "W4A8_NVFP4_FP8",
              .weight = formats::kNvfp4Block32,
              .packing = Packing::kNibbles,
              .scale_shape = WeightScaleShape::kBlocks,
              .scale_dtype = DType::kF8E4M3,
              .has_weight_scale_2 = true,
              .input = formats::kFp8,
              .has_input_scale = true},
    // Its weight_scale_2 is of the FP8 that the kernel makes of the weight.
    QuantAlgo{.name = "W4A8_AWQ",
              .weight = formats::kInt4ThenFp8,
              .packing = Packing::kNibbleRowPairs,
              .scale_shape = WeightScaleShape::kBlocks,
              .has_weight_scale_2 = true,
              .input = formats::kFp8,
              .has_input_scale = true,
              .may_have_pre_quant_scale = true},
    QuantAlgo{.name = "fp8_pb_wo",
              .weight = formats::kFp8Block2d,
              .weight_dtype = DType::kF8E4M3,
              .scale_shape = WeightScaleShape::kGrid},
    QuantAlgo{.name = "fp8_pb_real",
              .weight = formats::kFp8Block2d,
              .weight_dtype = DType::kF8E4M3,
              .scale_shape = WeightScaleShape::kGrid},
    microscaling("MXFP6", formats::kMxfp6, Packing::kSixBits, DType::kU8),
    microscaling("MXFP6_E2M3", formats::kMxfp6E2M3, Packing::kSixBits, DType::kU8),
    microscaling("MXINT8", formats::kMxint8, Packing::kBytes, DType::kI8),
};

}  // namespace

const QuantAlgo* find_quant_algo(std::string_view name, bool weight_only) {
  const QuantAlgo* found = nullptr;
  for (const QuantAlgo& algo : kAlgos) {
    if (algo.name != name) continue;
    if (found == nullptr || (weight_only && !algo.input)) found = &algo;
  }
  return found;
}

std::string supported_quant_algos() {
  std::string names;
  for (const QuantAlgo& algo : kAlgos) {
    if (names.ends_with(algo.name)) continue;  // a name may have several rows
    if (!names.empty()) names += ", ";
    names += algo.name;
  }
  return names;
}

}  // namespace lathe::frontends
