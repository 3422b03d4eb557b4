#pragma once

#include "export/hf_checkpoint/dialect.h"

namespace lathe::exporting {

/// The unified Hugging Face checkpoint of nvidia-modelopt: "<module>.weight", ".weight_scale",
/// ".weight_scale_2", ".input_scale", ".pre_quant_scale", hf_quant_config.json.
const Dialect& modelopt_dialect();

}  // namespace lathe::exporting
