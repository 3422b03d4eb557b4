#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "export/hf_checkpoint/layer_storage.h"
#include "export/hf_checkpoint/scheme.h"

namespace lathe::exporting {

/// How the inputs of a layer are quantized.
struct InputScheme {
  formats::Format format;
  bool dynamic = false;
};

/// One way in which compressed-tensors stores a layer.
struct CompressedScheme {
  std::string_view format;  // "pack-quantized"
  formats::Format weight;
  bool any_group_size = false;  // weight.block.cols is only the usual one
  bool any_narrow = false;      // weight.element is only the usual one of integers of 2 to 7 bits
  std::span<const InputScheme> inputs;
  bool weight_only = true;  // the inputs may be left as they are
  formats::Packing packing = formats::Packing::kBytes;
  DType weight_dtype = DType::kU8;
};

/// The row for these formats, or null. None has a pre_quant_scale.
const CompressedScheme* find_compressed_scheme(const LayerScheme& scheme);

LayerStorage layer_storage(const LayerScheme& scheme, const CompressedScheme& row,
                           DType model_dtype);

}  // namespace lathe::exporting
