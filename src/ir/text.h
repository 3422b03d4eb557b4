#pragma once

#include <string>
#include <string_view>

#include "ir/module.h"

namespace lathe::ir {

/// The text form: type, attributes, parameters, graph and children of a module. A Graph that
/// several modules share is written at the first and named ("graph @1") at the others.
/// parse_module(print(m)) prints the same text.
std::string print(const Module& module);
std::string print(const Graph& graph);

/// Reads the text form back. Parameters have dtype and shape and no value; state is left out.
/// DataError, with the line, if it is not well-formed.
ModulePtr parse_module(std::string_view text);
GraphPtr parse_graph(std::string_view text);

/// "bf16[576, 1536]"
std::string describe(const Parameter& parameter);

/// "f32", "bf16", "i64", ...: the text form's names of dtypes.
std::string_view scalar_type_name(at::ScalarType type);

}  // namespace lathe::ir
