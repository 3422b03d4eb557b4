#include "frontends/huggingface/quant_algos.h"

#include <array>

namespace lathe::frontends {
namespace {

using formats::Packing;

constexpr formats::Format kFp8PerToken = formats::kFp8PerChannel;

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
    // Its weight_scale_2 is of the kernel's FP8 and no part of the value.
    QuantAlgo{.name = "W4A8_AWQ",
              .weight = formats::kInt4Block,
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
};

}  // namespace

const QuantAlgo* find_quant_algo(std::string_view name) {
  for (const QuantAlgo& algo : kAlgos) {
    if (algo.name == name) return &algo;
  }
  return nullptr;
}

std::string supported_quant_algos() {
  std::string names;
  for (const QuantAlgo& algo : kAlgos) {
    if (!names.empty()) names += ", ";
    names += algo.name;
  }
  return names;
}

}  // namespace lathe::frontends
