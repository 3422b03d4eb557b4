#pragma once

#include "ops/leaf_table.h"

namespace lathe::ops {

/// Adds the leaf types that single architectures need: Conv1D, Float32Linear, TopKRouter,
/// DynamicRotaryEmbedding, LongRotaryEmbedding (see leaf_types.md).
void add_architecture_leaves(LeafTable& table);

}  // namespace lathe::ops
