#pragma once

#include "trace/graph_collection.h"
#include "trace/symbol_table.h"

namespace lathe::trace {

/// Finds the blocks of each Sequential that can be left out: the value of such a block is its input
/// plus something, nobody but the next block reads it, and nobody reaches into the block. Depths
/// without such a block become constant.
void find_skippable_blocks(const ir::Module& model, const GraphCollection& graphs,
                           SymbolTable& table);

}  // namespace lathe::trace
