#pragma once

#include "ir/module.h"
#include "ops/interpreter.h"

namespace lathe::ops {

/// A model of three blocks, as front ends build them: lm_head(model(input_ids, position_ids)),
/// where model holds an embedding, a rotary embedding, layers.0 to layers.2 (blocks of one graph,
/// with norms, attention, a gated MLP) and a norm. Outputs: logits and "early", the value after the
/// first block, which lives until the end. float32, vocabulary 11, width 8.
ir::ModulePtr small_model();

/// Inputs for it, [2, 5] tokens; another batch for another seed.
NamedTensors small_batch(uint32_t seed);

}  // namespace lathe::ops
