#pragma once

#include <string>

#include "lathe/trace.h"

namespace lathe::cli {

/// The model's graph as a drawing: modules are boxes around what they run, equal layers are drawn
/// once, and modules whose sizes change together have marks of one colour.
std::string trace_svg(const Model& model, const Trace& trace);

/// The same as a page, with a legend and the symbols in words.
std::string trace_page(const Model& model, const Trace& trace);

}  // namespace lathe::cli
