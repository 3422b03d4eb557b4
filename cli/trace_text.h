#pragma once

#include <string>

#include "lathe/trace.h"

namespace lathe::cli {

/// The module tree with equal layers folded, symbols and what follows them, linears that read one
/// value, and what can be made of the graph. `all`: nothing is folded.
std::string trace_text(const Trace& trace, bool all);

}  // namespace lathe::cli
