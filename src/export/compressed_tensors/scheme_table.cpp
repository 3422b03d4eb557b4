#include "export/compressed_tensors/scheme_table.h"

#include <algorithm>
#include <array>

namespace lathe::exporting {
namespace {

using formats::Format;
using formats::Packing;
using formats::ScaleKind;

constexpr Format kInt4PerChannel{formats::kInt4, formats::kPerChannel};
constexpr Format kInt8Group{formats::kInt8, {1, 128}};
constexpr Format kFp8Group{formats::kE4M3, {1, 128}};

constexpr std::array kTokenInputs = {InputScheme{formats::kFp8PerChannel, true},
                                     InputScheme{formats::kInt8PerChannel, true},
                                     InputScheme{kInt4PerChannel, true}};
constexpr std::array kInt8Inputs = {InputScheme{formats::kInt8PerTensor},
                                    InputScheme{formats::kInt8PerChannel, true}};
constexpr std::array kFp8Inputs = {InputScheme{formats::kFp8}, InputScheme{formats::kFp8, true},
                                   InputScheme{formats::kFp8PerChannel, true}};
constexpr std::array kFp8BlockInputs = {InputScheme{kFp8Group, true}};
constexpr std::array kNvfp4Inputs = {InputScheme{formats::kNvfp4}};
constexpr std::array kMxfp4Inputs = {InputScheme{formats::kMxfp4, true},
                                     InputScheme{formats::kMxfp8, true},
                                     InputScheme{kFp8Group, true}};
constexpr std::array kMxfp8Inputs = {InputScheme{formats::kMxfp8, true}};

constexpr CompressedScheme pack_quantized(Format weight, std::span<const InputScheme> inputs = {}) {
  return {.format = "pack-quantized",
          .weight = weight,
          .any_group_size = weight.block.cols > 0,
          .any_narrow = weight.element.bits < 8,
          .inputs = inputs,
          .packing = Packing::kInt32Offset,
          .weight_dtype = DType::kI32};
}

constexpr CompressedScheme int_quantized(Format weight) {
  return {.format = "int-quantized",
          .weight = weight,
          .inputs = kInt8Inputs,
          .weight_only = false,
          .weight_dtype = DType::kI8};
}

constexpr CompressedScheme float_quantized(Format weight, std::span<const InputScheme> inputs) {
  return {.format = "float-quantized",
          .weight = weight,
          .inputs = inputs,
          .weight_dtype = DType::kF8E4M3};
}

constexpr std::array kSchemes = {
    pack_quantized(formats::kInt4Block, kTokenInputs),
    pack_quantized(kInt4PerChannel, kTokenInputs),
    pack_quantized(kInt8Group),
    pack_quantized(formats::kInt8PerChannel),
    int_quantized(formats::kInt8PerChannel),
    int_quantized(formats::kInt8PerTensor),
    float_quantized(formats::kFp8, kFp8Inputs),
    float_quantized(formats::kFp8PerChannel, kFp8Inputs),
    float_quantized(formats::kFp8Block2d, kFp8BlockInputs),
    CompressedScheme{.format = "nvfp4-pack-quantized",
                     .weight = formats::kNvfp4,
                     .inputs = kNvfp4Inputs,
                     .packing = Packing::kNibbles},
    CompressedScheme{.format = "mxfp4-pack-quantized",
                     .weight = formats::kMxfp4,
                     .inputs = kMxfp4Inputs,
                     .packing = Packing::kNibbles},
    CompressedScheme{.format = "mxfp6-pack-quantized",
                     .weight = formats::kMxfp6E2M3,
                     .inputs = kMxfp8Inputs,
                     .packing = Packing::kSixBits},
    CompressedScheme{.format = "mxfp8-quantized",
                     .weight = formats::kMxfp8,
                     .inputs = kMxfp8Inputs,
                     .weight_dtype = DType::kF8E4M3},
};

bool weight_fits(const CompressedScheme& row, Format weight) {
  const bool grouped = weight.block.rows == 1 && weight.block.cols > 0;
  const bool narrow = weight.element.kind == formats::ElementKind::kInt && weight.element.bits < 8;
  if (row.any_group_size && grouped) weight.block = row.weight.block;
  if (row.any_narrow && narrow) weight.element.bits = row.weight.element.bits;
  return same_storage(row.weight, weight);
}

bool input_fits(const CompressedScheme& row, const LayerScheme& scheme) {
  if (!scheme.input) return row.weight_only;
  return std::ranges::any_of(row.inputs, [&](const InputScheme& input) {
    return input.dynamic == scheme.input_dynamic && same_storage(input.format, *scheme.input);
  });
}

StoredPart weight_scale(const LayerScheme& scheme, DType float_dtype) {
  const formats::BlockShape block = scheme.weight.block;
  const PartShape shape = block == formats::kPerTensor ? PartShape::kOne : PartShape::kGrid;
  DType dtype = float_dtype;
  if (scheme.weight.scale == ScaleKind::kE4M3TwoLevel) dtype = DType::kF8E4M3;
  if (scheme.weight.scale == ScaleKind::kE8M0) dtype = DType::kU8;
  return {LayerPart::kWeightScale, "weight_scale", dtype, shape};
}

}  // namespace

const CompressedScheme* find_compressed_scheme(const LayerScheme& scheme) {
  if (scheme.pre_quant_scale) return nullptr;
  const auto found = std::ranges::find_if(kSchemes, [&](const CompressedScheme& row) {
    return weight_fits(row, scheme.weight) && input_fits(row, scheme);
  });
  return found == kSchemes.end() ? nullptr : &*found;
}

LayerStorage layer_storage(const LayerScheme& scheme, const CompressedScheme& row,
                           DType model_dtype) {
  LayerStorage storage{.name = row.format, .packing = row.packing, .parts = {}};
  const bool packed = row.packing != Packing::kBytes;
  storage.parts.push_back({LayerPart::kWeight, packed ? "weight_packed" : "weight",
                           row.weight_dtype, PartShape::kPacked});
  // Loaders round scales to the model's dtype; those of a source stay what they are.
  const DType float_dtype = scheme.exact_scales ? DType::kF32 : model_dtype;
  storage.parts.push_back(weight_scale(scheme, float_dtype));
  const bool two_level = scheme.weight.scale == ScaleKind::kE4M3TwoLevel;
  if (two_level) {
    storage.parts.push_back(
        {LayerPart::kGlobalScale, "weight_global_scale", DType::kF32, PartShape::kOne, true});
  }
  if (scheme.input && !scheme.input_dynamic) {
    storage.parts.push_back(two_level ? StoredPart{LayerPart::kInputScale, "input_global_scale",
                                                   DType::kF32, PartShape::kOne, true}
                                      : StoredPart{LayerPart::kInputScale, "input_scale",
                                                   float_dtype, PartShape::kOne});
  }
  if (row.packing == Packing::kInt32Offset) {
    storage.parts.push_back(
        {LayerPart::kWeightShape, "weight_shape", DType::kI64, PartShape::kTwo});
  }
  return storage;
}

}  // namespace lathe::exporting
