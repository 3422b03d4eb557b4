#pragma once

#include <cstdint>

#include "export/hf_checkpoint/algorithm_table.h"
#include "export/hf_checkpoint/scheme.h"

namespace lathe::exporting {

/// A quantized weight [N, K] with its row of the table.
struct PlannedLayer {
  LayerScheme scheme;
  const Algorithm* algorithm = nullptr;
  int64_t rows = 0;  // N
  int64_t cols = 0;  // K
};

}  // namespace lathe::exporting
