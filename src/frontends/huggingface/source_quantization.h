#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <optional>

#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Reads a quantized checkpoint, by the quant_method of config.json's quantization_config: packed
/// weights in the store become decoded ones in `dtype`, and what belongs to them is taken out of
/// it. Nothing if the checkpoint is not quantized. UserError: a method that is not read. DataError:
/// tensors that do not fit it, all of them listed.
std::optional<QuantizedSource> read_quantization(const std::filesystem::path& folder,
                                                 const ConfigReader& config, TensorStore& store,
                                                 at::ScalarType dtype);

}  // namespace lathe::frontends
