#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/json_field.h"

namespace lathe::frontends::torch_export {

using io::JsonField;

/// Names of the fields of the program's named tuples, by their type.
using FieldNames = std::map<std::string, std::vector<std::string>, std::less<>>;
FieldNames namedtuple_fields(const JsonField& graph_module);

/// Names of the leaves of a pytree spec (torch.utils._pytree's JSON form), in order: the way to
/// each, joined by "_": keys of dicts and data classes, fields of named tuples, indices of tuples
/// and lists. `root` names a spec that is a leaf, and begins the names that are an index alone.
std::vector<std::string> leaf_names(const JsonField& spec, const FieldNames& fields,
                                    const std::string& root);

}  // namespace lathe::frontends::torch_export
