#include "frontends/torch_export/value.h"

#include <array>

namespace lathe::frontends::torch_export {
namespace {

using Kind = Value::Kind;

Value name_value(const JsonField& field) {
  return {.kind = Kind::kName, .text = field.at("name").string()};
}
Value int_value(const JsonField& field) { return {.kind = Kind::kInt, .integer = field.integer()}; }
Value float_value(const JsonField& field) { return {.kind = Kind::kFloat, .real = field.real()}; }
Value bool_value(const JsonField& field) {
  return {.kind = Kind::kBool, .integer = field.boolean() ? 1 : 0};
}
Value string_value(const JsonField& field) {
  return {.kind = Kind::kString, .text = field.string()};
}

/// SymIntArgument, SymFloatArgument, SymBoolArgument: a name or a number.
Value symbol_value(const JsonField& field) {
  const auto [kind, value] = field.alternative();
  if (kind == "as_name") return {.kind = Kind::kName, .text = value.string()};
  if (kind == "as_int") return int_value(value);
  if (kind == "as_float") return float_value(value);
  if (kind == "as_bool") return bool_value(value);
  value.fail("a known kind of symbol");
}

Value optional_tensor(const JsonField& field) {
  const auto [kind, value] = field.alternative();
  return kind == "as_none" ? Value{} : name_value(value);
}

Value device_value(const JsonField& field) {
  Value device{.kind = Kind::kDevice, .text = field.at("type").string()};
  if (field.has("index") && !field.at("index").is_null())
    device.text += ":" + std::to_string(field.at("index").integer());
  return device;
}

template <Kind kind>
Value code_value(const JsonField& field) {
  return {.kind = kind, .integer = field.integer()};
}

using Parse = Value (*)(const JsonField&);

template <Parse parse>
Value list_value(const JsonField& field) {
  Value list{.kind = Kind::kList};
  for (const JsonField& item : field.items()) list.items.push_back(parse(item));
  return list;
}

Value graph_value(const JsonField& field) {
  return {.kind = Kind::kGraph,
          .text = field.at("name").string(),
          .graph = std::make_shared<const FlatGraph>(parse_graph(field.at("graph")))};
}

Value none_value(const JsonField&) { return {}; }

struct Alternative {
  std::string_view name;
  Parse parse;
};

constexpr auto kAlternatives = std::to_array<Alternative>({
    {"as_none", none_value},
    {"as_tensor", name_value},
    {"as_tensors", list_value<name_value>},
    {"as_int", int_value},
    {"as_ints", list_value<int_value>},
    {"as_float", float_value},
    {"as_floats", list_value<float_value>},
    {"as_string", string_value},
    {"as_strings", list_value<string_value>},
    {"as_sym_int", symbol_value},
    {"as_sym_ints", list_value<symbol_value>},
    {"as_scalar_type", code_value<Kind::kScalarType>},
    {"as_memory_format", code_value<Kind::kMemoryFormat>},
    {"as_layout", code_value<Kind::kLayout>},
    {"as_device", device_value},
    {"as_bool", bool_value},
    {"as_bools", list_value<bool_value>},
    {"as_sym_bool", symbol_value},
    {"as_sym_bools", list_value<symbol_value>},
    {"as_sym_float", symbol_value},
    {"as_sym_floats", list_value<symbol_value>},
    {"as_graph", graph_value},
    {"as_optional_tensor", optional_tensor},
    {"as_optional_tensors", list_value<optional_tensor>},
    {"as_nested_tensors", list_value<list_value<name_value>>},
    {"as_int_lists", list_value<list_value<int_value>>},
    {"as_float_lists", list_value<list_value<float_value>>},
});

/// What the schema has and Lathe cannot run: the module that holds it is marked failed.
constexpr std::array<std::string_view, 5> kUnsupported = {
    "as_custom_obj", "as_operator", "as_complex", "as_string_to_argument", "as_opaque"};

}  // namespace

Value parse_value(const JsonField& field) {
  const auto [name, value] = field.alternative();
  for (const Alternative& alternative : kAlternatives) {
    if (alternative.name == name) return alternative.parse(value);
  }
  for (const std::string_view unsupported : kUnsupported) {
    if (unsupported == name) return {.kind = Kind::kUnsupported, .text = name};
  }
  value.fail("a kind of argument of the schema");
}

}  // namespace lathe::frontends::torch_export
