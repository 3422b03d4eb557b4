#include "frontends/torch_export/program.h"

#include <fmt/ranges.h>

#include <array>
#include <unordered_set>

#include "base/error.h"
#include "frontends/torch_export/tree_spec.h"
#include "frontends/torch_export/value.h"
#include "io/json.h"
#include "io/json_field.h"
#include "io/pt2_layout.h"

namespace lathe::frontends::torch_export {
namespace {

/// "key,path,type;key,path,type": keys and paths of old exports hold commas within brackets.
CallSite parse_call_site(std::string_view entry, const JsonField& field) {
  std::vector<size_t> commas;
  int brackets = 0;
  for (size_t i = 0; i < entry.size(); ++i) {
    if (entry[i] == '(' || entry[i] == '[') ++brackets;
    if (entry[i] == ')' || entry[i] == ']') --brackets;
    if (entry[i] == ',' && brackets == 0) commas.push_back(i);
  }
  if (commas.size() != 2) field.fail("\"key,path,class\" between semicolons");
  return {std::string(entry.substr(0, commas[0])),
          std::string(entry.substr(commas[0] + 1, commas[1] - commas[0] - 1)),
          std::string(entry.substr(commas[1] + 1))};
}

constexpr size_t kDeepestStack = 64;

std::vector<CallSite> parse_stack(const JsonField& metadata) {
  std::vector<CallSite> stack;
  if (!metadata.has("nn_module_stack")) return stack;
  const JsonField field = metadata.at("nn_module_stack");
  std::string_view rest = field.string();
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(';'), rest.size());
    if (stack.size() == kDeepestStack) field.fail("at most 64 calls within each other");
    stack.push_back(parse_call_site(rest.substr(0, end), field));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return stack;
}

FlatNode parse_node(const JsonField& field) {
  FlatNode node;
  node.target = field.at("target").string();
  for (const JsonField& input : field.at("inputs").items()) {
    node.inputs.push_back({input.at("name").string(), parse_value(input.at("arg"))});
  }
  for (const JsonField& output : field.at("outputs").items()) {
    node.outputs.push_back(parse_value(output));
  }
  node.stack = parse_stack(field.at("metadata"));
  if (field.has("name") && !field.at("name").is_null()) node.name = field.at("name").string();
  if (node.name.empty() && !node.outputs.empty()) node.name = node.outputs.front().text;
  return node;
}

std::optional<int64_t> parse_size(const JsonField& field) {
  const auto [kind, size] = field.alternative();
  if (kind != "as_int") return std::nullopt;
  if (size.integer() < 0) size.fail("a size");
  return size.integer();
}

std::optional<TensorMeta> parse_tensor(const JsonField& field) {
  const auto dtype = io::dtype_of_pt2_code(field.at("dtype").integer());
  if (!dtype) return std::nullopt;
  TensorMeta meta{*dtype, {}};
  for (const JsonField& size : field.at("sizes").items()) meta.sizes.push_back(parse_size(size));
  return meta;
}

/// Values are computed before they are read, and once.
class OrderCheck {
 public:
  explicit OrderCheck(const std::string& where) : where_(where) {}

  void define(const Value& value) {
    if (value.kind == Value::Kind::kName && !defined_.insert(value.text).second)
      throw_data("{}: the value {} is computed twice", where_, value.text);
    for (const Value& item : value.items) define(item);
  }
  void read(const Value& value, const std::string& reader) const {
    if (value.kind == Value::Kind::kName && !defined_.contains(value.text)) {
      throw_data("{}: {} reads the value {}, which is not computed before it", where_, reader,
                 value.text);
    }
    for (const Value& item : value.items) read(item, reader);
  }

 private:
  std::string where_;
  std::unordered_set<std::string> defined_;
};

void check_order(const FlatGraph& graph, const std::string& where) {
  OrderCheck check(where);
  for (const Value& input : graph.inputs) check.define(input);
  for (const FlatNode& node : graph.nodes) {
    for (const NamedValue& input : node.inputs) {
      check.read(input.value, fmt::format("node {} ({})", node.name, node.target));
    }
    for (const Value& output : node.outputs) check.define(output);
  }
  for (const Value& output : graph.outputs) check.read(output, "the output");
}

InputSpec parse_input_spec(const JsonField& field) {
  const auto [kind, spec] = field.alternative();
  using Kind = InputSpec::Kind;
  const auto named = [](const JsonField& argument) {
    return Value{.kind = Value::Kind::kName, .text = argument.at("name").string()};
  };
  if (kind == "user_input") return {Kind::kUser, parse_value(spec.at("arg")), {}};
  if (kind == "parameter")
    return {Kind::kParameter, named(spec.at("arg")), spec.at("parameter_name").string()};
  if (kind == "buffer") {
    return {Kind::kBuffer, named(spec.at("arg")), spec.at("buffer_name").string(),
            spec.at("persistent").boolean()};
  }
  if (kind == "tensor_constant")
    return {Kind::kConstant, named(spec.at("arg")), spec.at("tensor_constant_name").string()};
  if (kind == "constant_input")  // a value that the program was specialised for
    return {Kind::kUser, parse_value(spec.at("value")), {}};
  if (kind == "custom_obj" || kind == "token")
    return {Kind::kUnsupported, named(spec.at("arg")), kind};
  spec.fail("a known kind of input");
}

OutputSpec parse_output_spec(const JsonField& field) {
  const auto [kind, spec] = field.alternative();
  using Kind = OutputSpec::Kind;
  const auto named = [&spec = spec] {
    return Value{.kind = Value::Kind::kName, .text = spec.at("arg").at("name").string()};
  };
  if (kind == "user_output") return {Kind::kUser, parse_value(spec.at("arg")), {}};
  if (kind == "buffer_mutation")
    return {Kind::kBufferMutation, named(), spec.at("buffer_name").string()};
  if (kind == "parameter_mutation")
    return {Kind::kBufferMutation, named(), spec.at("parameter_name").string()};
  if (kind == "user_input_mutation")
    return {Kind::kInputMutation, named(), spec.at("user_input_name").string()};
  return {Kind::kOther, named(), kind};
}

std::vector<std::string> names_in(const Value& value) {
  std::vector<std::string> names;
  for_each_name(value, [&](const std::string& name) { names.push_back(name); });
  return names;
}

/// The graph's inputs or outputs are those that the signature lists.
template <typename Spec>
void check_signature(const std::vector<Value>& values, const std::vector<Spec>& specs,
                     const std::string& where, std::string_view what) {
  if (specs.size() != values.size()) {
    throw_data("{}: the signature lists {} {}s, the graph {}", where, specs.size(), what,
               values.size());
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    if (values[i].kind == Value::Kind::kUnsupported) continue;
    const auto expected = names_in(values[i]);
    const auto found = names_in(specs[i].value);
    if (expected != found) {
      throw_data("{}: {} {} is \"{}\" in the graph and \"{}\" in the signature", where, what, i,
                 fmt::join(expected, ", "), fmt::join(found, ", "));
    }
  }
}

/// Each input of a graph is one value.
void check_inputs(const FlatGraph& graph, const std::string& where) {
  for (const Value& input : graph.inputs) {
    if (input.kind == Value::Kind::kList) throw_data("{}: an input of the graph is a list", where);
  }
}

void parse_calls(const JsonField& graph_module, Program& program) {
  const FieldNames fields = namedtuple_fields(graph_module);
  for (const JsonField& call : graph_module.at("module_call_graph").items()) {
    program.module_paths.push_back(call.at("fqn").string());
    if (!program.module_paths.back().empty() || call.at("signature").is_null()) continue;
    const JsonField signature = call.at("signature");
    program.input_names = leaf_names(signature.at("in_spec"), fields, {});
    program.output_names = leaf_names(signature.at("out_spec"), fields, "output");
  }
}

void check_leaves(const Program& program, const std::string& where) {
  const auto check = [&](size_t leaves, size_t values, std::string_view what) {
    if (leaves != 0 && leaves != values)
      throw_data("{}: the {} spec has {} leaves, the graph has {}", where, what, leaves, values);
  };
  size_t inputs = 0;
  for (const InputSpec& input : program.inputs) inputs += input.kind == InputSpec::Kind::kUser;
  size_t outputs = 0;
  for (const OutputSpec& output : program.outputs)
    outputs += output.kind == OutputSpec::Kind::kUser;
  check(program.input_names.size(), inputs, "input");
  check(program.output_names.size(), outputs, "output");
}

void parse_symbols(const JsonField& field, const char* list, Value::Kind kind, FlatGraph& graph) {
  if (!field.has(list)) return;
  for (const auto& [name, symbol] : field.at(list).members()) graph.symbols.emplace(name, kind);
}

}  // namespace

FlatGraph parse_graph(const JsonField& field) {
  FlatGraph graph;
  for (const JsonField& input : field.at("inputs").items())
    graph.inputs.push_back(parse_value(input));
  for (const JsonField& output : field.at("outputs").items())
    graph.outputs.push_back(parse_value(output));
  for (const JsonField& node : field.at("nodes").items()) graph.nodes.push_back(parse_node(node));
  for (const auto& [name, tensor] : field.at("tensor_values").members()) {
    if (auto meta = parse_tensor(tensor)) graph.tensors.emplace(name, *std::move(meta));
  }
  parse_symbols(field, "sym_int_values", Value::Kind::kInt, graph);
  parse_symbols(field, "sym_bool_values", Value::Kind::kBool, graph);
  parse_symbols(field, "sym_float_values", Value::Kind::kFloat, graph);
  check_order(graph, field.where());
  return graph;
}

std::string FlatNode::value_name() const {
  for (const Value& output : outputs) {
    if (const auto names = names_in(output); !names.empty()) return names[0];
  }
  return {};
}

Program parse_program(std::string_view text, const std::string& source_name) {
  const nlohmann::json json = io::parse_json(text, source_name);
  const JsonField root(json, source_name);
  const int64_t major = root.at("schema_version").at("major").integer();
  if (major != io::kPt2SchemaMajor) {
    throw_data("{}: schema version {}.{}; this build reads version {} (torch 2.6 and later)",
               source_name, major, root.at("schema_version").at("minor").integer(),
               io::kPt2SchemaMajor);
  }
  Program program;
  const JsonField graph_module = root.at("graph_module");
  program.graph = parse_graph(graph_module.at("graph"));
  const JsonField signature = graph_module.at("signature");
  for (const JsonField& spec : signature.at("input_specs").items())
    program.inputs.push_back(parse_input_spec(spec));
  for (const JsonField& spec : signature.at("output_specs").items())
    program.outputs.push_back(parse_output_spec(spec));
  check_inputs(program.graph, source_name);
  check_signature(program.graph.inputs, program.inputs, source_name, "input");
  check_signature(program.graph.outputs, program.outputs, source_name, "output");
  parse_calls(graph_module, program);
  check_leaves(program, source_name);
  if (root.has("torch_version")) program.torch_version = root.at("torch_version").string();
  return program;
}

}  // namespace lathe::frontends::torch_export
