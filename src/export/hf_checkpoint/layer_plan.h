#pragma once

#include <string>
#include <vector>

#include "export/hf_checkpoint/planned_layer.h"
#include "export/hf_checkpoint/scheme.h"
#include "ir/model.h"

namespace lathe::exporting {

/// Finds the weight and the algorithm of each layer. What cannot be stored is left out and added to
/// `problems`: formats without a quant_algo, shapes that do not fit, tied weights.
std::vector<PlannedLayer> plan_layers(const ir::Model& model, const QuantizationScheme& scheme,
                                      std::vector<std::string>& problems);

/// What is wrong with the KV cache's schemes is added to `problems`.
void check_kv(const QuantizationScheme& scheme, std::vector<std::string>& problems);

}  // namespace lathe::exporting
