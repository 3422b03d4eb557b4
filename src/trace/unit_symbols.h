#pragma once

#include "trace/analyze.h"
#include "trace/unit_flow.h"

namespace lathe::trace {

/// Linear, convolutions and norms as SymRegistry::builtin(), and what the peer lacks: Embedding,
/// RMSNorm, and linears of other layouts.
SymRegistry rich_registry();

struct UnitAnalysis {
  Analysis analysis;
  UnitResult units;
};

/// The symbols of a model by Lathe's own rules, which follow every axis of every tensor: reshapes,
/// attention heads, embeddings, gated units, splits and concatenations, grouped convolutions,
/// experts. `inputs`: shapes of the model's inputs; what depends on an input that is not there is
/// fixed.
UnitAnalysis analyze_units(const ir::Module& model, const SymRegistry& registry,
                           const UnitFlow::Inputs& inputs);

}  // namespace lathe::trace
