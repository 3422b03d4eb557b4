#pragma once

#include "export/hf_checkpoint/dialect.h"

namespace lathe::exporting {

/// The checkpoints of the compressed-tensors library: "<module>.weight" or ".weight_packed",
/// ".weight_scale", global scales as reciprocals, a KV cache's scales on the attention, and
/// config_groups, ignore and kv_cache_scheme in config.json. There is no pre_quant_scale.
const Dialect& compressed_tensors_dialect();

}  // namespace lathe::exporting
