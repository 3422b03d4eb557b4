#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "export/hf_checkpoint/dialect.h"

namespace lathe::exporting {

/// quantization_config of compressed-tensors: a config_group for each kind of layer, the modules
/// that stay as they are in `ignore`, kv_cache_scheme.
QuantizationJson describe_compressed_tensors(const std::vector<PlannedLayer>& layers,
                                             const QuantizationScheme& scheme,
                                             const std::string& producer_version);

}  // namespace lathe::exporting
