#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "formats/format.h"
#include "formats/packing.h"
#include "lathe/dtype.h"

namespace lathe::frontends {

/// What `<module>.weight_scale` looks like for a weight [N, K].
enum class WeightScaleShape : uint8_t {
  kScalar,  // float, [] or [1]
  kRows,    // float, [N]
  kBlocks,  // [N, K / group_size]: float, or a dtype of one-byte codes
  kGrid,    // float, [N / 128, 1, K / 128, 1], [N / 128, K / 128], or a scalar for a single block
};

/// One quant_algo of a modelopt checkpoint: which tensors a Linear has and what they mean.
struct QuantAlgo {
  std::string_view name;   // as the checkpoint spells it
  formats::Format weight;  // of kBlocks: with the usual group_size, which the checkpoint may change
  formats::Packing packing = formats::Packing::kBytes;
  DType weight_dtype = DType::kU8;
  WeightScaleShape scale_shape = WeightScaleShape::kScalar;
  DType scale_dtype = DType::kF32;  // kF32: any floating-point dtype
  bool has_weight_scale_2 = false;
  /// How inputs are quantized, and whether there is a tensor input_scale for it.
  std::optional<formats::Format> input;
  bool has_input_scale = false;
  bool may_have_input_scale = false;  // without one, inputs are scaled as they come
  bool may_have_pre_quant_scale = false;
};

/// Null if the name is not in the table. `weight_only`: the checkpoint says that inputs are not
/// quantized, which the name alone does not tell.
const QuantAlgo* find_quant_algo(std::string_view name, bool weight_only = false);

/// The names in the table, for messages.
std::string supported_quant_algos();

}  // namespace lathe::frontends
