#pragma once

#include <optional>
#include <string_view>

#include "export/hf_checkpoint/layer_storage.h"
#include "export/hf_checkpoint/scheme.h"
#include "formats/format.h"
#include "formats/packing.h"

namespace lathe::exporting {

/// The shape of <module>.weight_scale.
enum class ScaleShape {
  kScalar,    // []
  kRows,      // [N], also of a weight with one scale
  kGrid,      // [N, K / block]
  kBlocks4d,  // [N / block, 1, K / block, 1]; [] for a single block
};

/// One quant_algo of the unified Hugging Face checkpoint: the formats that it stands for, and how
/// they are stored.
struct Algorithm {
  std::string_view name;  // "FP8"
  formats::Format weight;
  std::optional<formats::Format> input;
  bool input_dynamic = false;
  bool any_group_size = false;   // weight.block.cols is only the usual one
  bool pre_quant_scale = false;  // layers may have one
  formats::Packing packing = formats::Packing::kBytes;
  DType weight_dtype = DType::kU8;
  ScaleShape scale_shape = ScaleShape::kGrid;
  bool group_size_key = false;   // JSON: "group_size"
  bool zero_point_keys = false;  // JSON: "has_zero_point": false, "pre_quant_scale": true
  bool config_groups = false;    // config.json describes weights and inputs in config_groups
  bool extension = false;        // Lathe's own: it reads such checkpoints, no engine does yet

  bool has_scale_2() const { return weight.has_global_scale(); }
  bool has_input_scale() const { return input.has_value() && !input_dynamic; }
};

/// The row of the `modelopt` dialect that stores these formats, or null. With need_pre_quant_scale
/// only rows that can carry one are looked at.
const Algorithm* find_algorithm(const LayerScheme& scheme, bool need_pre_quant_scale);

/// <path>.weight, .weight_scale, .weight_scale_2, .input_scale, .pre_quant_scale, as far as the
/// layer has them. pre_quant_scale has the model's dtype.
LayerStorage layer_storage(const LayerScheme& scheme, const Algorithm& algorithm,
                           DType model_dtype);

}  // namespace lathe::exporting
