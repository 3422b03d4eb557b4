#pragma once

#include "frontends/torch_export/program.h"
#include "io/json_field.h"

namespace lathe::frontends::torch_export {

using io::JsonField;

/// A value of the schema's union Argument (or ConstantValue). DataError for a field that the schema
/// lacks.
Value parse_value(const JsonField& field);

/// The schema's Graph: the program's, or one that a higher-order operator is given.
FlatGraph parse_graph(const JsonField& field);

}  // namespace lathe::frontends::torch_export
