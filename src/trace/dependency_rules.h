#pragma once

#include "trace/graph_collection.h"
#include "trace/symbol_table.h"

namespace lathe::trace {

/// The dependency rules of nvidia-modelopt: every value has one dimension that may change, and each
/// node passes it on, ties it to that of other values, starts a new one, or fixes it. Links the
/// symbols of the modules that the graph calls.
void apply_dependency_rules(const FlatGraph& graph, const ir::Module& root,
                            const GraphCollection& graphs, SymbolTable& table);

}  // namespace lathe::trace
