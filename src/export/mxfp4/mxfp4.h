#pragma once

#include "export/hf_checkpoint/dialect.h"

namespace lathe::exporting {

/// "mxfp4": the checkpoints of gpt-oss. Weights of experts, and nothing else, are MXFP4: tensors
/// NAME_blocks and NAME_scales of all experts of a layer, quant_method "mxfp4".
const Dialect& mxfp4_dialect();

}  // namespace lathe::exporting
