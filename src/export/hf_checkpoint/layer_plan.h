#pragma once

#include <string>
#include <vector>

#include "export/hf_checkpoint/dialect.h"
#include "export/hf_checkpoint/planned_layer.h"
#include "export/hf_checkpoint/scheme.h"
#include "ir/model.h"

namespace lathe::exporting {

/// Finds the weight and the storage of each layer of the scheme, which loses its layers. What
/// cannot be stored is left out and added to `problems`: formats that the dialect does not have
/// (with the dialects that do), shapes that do not fit, tied weights.
std::vector<PlannedLayer> plan_layers(const ir::Model& model, QuantizationScheme& scheme,
                                      const Dialect& dialect, std::vector<std::string>& problems);

/// What is wrong with the KV cache's schemes is added to `problems`.
void check_kv(const QuantizationScheme& scheme, const Dialect& dialect,
              std::vector<std::string>& problems);

}  // namespace lathe::exporting
