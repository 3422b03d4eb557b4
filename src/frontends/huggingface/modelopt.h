#pragma once

#include <c10/core/ScalarType.h>

#include <filesystem>
#include <optional>

#include "frontends/huggingface/config.h"
#include "frontends/quantized_source.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Reads hf_quant_config.json and the quantization_config of config.json (quant_method "modelopt").
/// The packed weights in the store become decoded ones in `dtype`; scales are taken out of it.
/// Nothing if the checkpoint has neither. UserError: an unknown quant_algo. DataError: tensors that
/// do not fit, all of them listed.
std::optional<QuantizedSource> read_modelopt(const std::filesystem::path& folder,
                                             const ConfigReader& config, TensorStore& store,
                                             at::ScalarType dtype);

}  // namespace lathe::frontends
