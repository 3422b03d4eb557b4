#pragma once

#include <string>
#include <vector>

#include "export/hf_checkpoint/dialect.h"
#include "export/hf_checkpoint/planned_layer.h"
#include "export/hf_checkpoint/scheme.h"

namespace lathe::exporting {

/// Both JSON files from one description, so that they agree. Layers of different algorithms or
/// group sizes make MIXED_PRECISION, which names each layer.
QuantizationJson describe_quantization(const std::vector<PlannedLayer>& layers,
                                       const QuantizationScheme& scheme,
                                       const std::string& producer_version);

/// "FP8", "NVFP4", "NVFP4_AFFINE": the kv_cache_quant_algo of a cache; "" if the dialect has none.
std::string modelopt_kv_algorithm(const KvScheme& scheme);

}  // namespace lathe::exporting
