#pragma once

#include <string>
#include <vector>

#include "export/hf_checkpoint/planned_layer.h"
#include "export/hf_checkpoint/scheme.h"
#include "io/checkpoint_layout.h"
#include "ir/model.h"

namespace lathe::exporting {

/// The output tensors of one block of the model, or of one module outside of blocks; of a model
/// without a graph, of modules that follow each other.
struct UnitTensors {
  std::string unit;
  std::vector<io::TensorSpec> tensors;
};

/// The tensors that the checkpoint will have, in the order of the model: parameters as they are
/// stored, several as one where they are fused, quantized weights with their scales, KV scales at
/// the end of their block. Tied names are left out.
std::vector<UnitTensors> plan_unit_tensors(const ir::Model& model,
                                           const std::vector<PlannedLayer>& layers,
                                           const std::vector<FusedTensor>& fused,
                                           const std::vector<PlannedCache>& caches);

}  // namespace lathe::exporting
