#pragma once

#include <string>
#include <vector>

#include "lathe/trace_types.h"
#include "trace/graph_collection.h"

namespace lathe::trace {

struct Analysis {
  SymMap symbols;
  std::vector<std::string> warnings;
};

/// The symbols of a model by the rules of nvidia-modelopt. `strict`: symbols of modules that are
/// called, but are linked to nothing, are a UserError; without it they become constant, with a
/// warning.
Analysis analyze_as_modelopt(const ir::Module& model, const SymRegistry& registry, bool strict);

}  // namespace lathe::trace
