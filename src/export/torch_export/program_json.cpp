#include "export/torch_export/program_json.h"

#include "base/error.h"
#include "io/json_field.h"
#include "io/pt2_layout.h"

namespace lathe::exporting {
namespace {

using io::JsonField;

constexpr int kDeepestGraph = 32;

void check_argument(const JsonField& field) {
  if (!field.is_object()) field.fail("an argument");
}

void check_node(const JsonField& node) {
  node.at("target").string();
  for (const JsonField& input : node.at("inputs").items()) {
    input.at("name").string();
    check_argument(input.at("arg"));
  }
  for (const JsonField& output : node.at("outputs").items()) check_argument(output);
  const JsonField metadata = node.at("metadata");
  metadata.members();
  if (metadata.has("nn_module_stack")) metadata.at("nn_module_stack").string();
}

void check_tensor(const JsonField& tensor) {
  tensor.at("dtype").integer();
  for (const char* list : {"sizes", "strides"}) {
    for (const JsonField& size : tensor.at(list).items()) {
      const auto [kind, value] = size.alternative();
      if (kind == "as_int") value.integer();
    }
  }
  tensor.at("device").members();
}

/// The specs' names, as far as they are read here.
void check_signature(const JsonField& signature) {
  for (const JsonField& spec : signature.at("input_specs").items()) {
    const auto [kind, value] = spec.alternative();
    if (kind == "parameter") value.at("parameter_name").string();
    if (kind == "buffer") {
      value.at("buffer_name").string();
      value.at("persistent").boolean();
    }
    if (kind == "tensor_constant") value.at("tensor_constant_name").string();
    if (kind == "parameter" || kind == "buffer") value.at("arg").at("name").string();
  }
  for (const JsonField& spec : signature.at("output_specs").items()) spec.alternative();
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

/// The one member of a union that is set, as JsonField::alternative checked it.
std::pair<std::string, const Json*> alternative(const Json& value) {
  for (const auto& [kind, item] : value.items()) {
    if (!item.is_null()) return {kind, &item};
  }
  throw_internal("a union without a member");
}

/// Names of symbolic numbers that a node gives, which are values too.
template <typename Visit>
void for_each_symbol(const Json& argument, const Visit& visit) {
  for (const auto& item : argument.items()) {
    const Json& value = item.value();
    if (value.is_object() && value.contains("as_name") && value["as_name"].is_string())
      visit(value["as_name"].get_ref<const std::string&>());
  }
}

}  // namespace

ProgramJson::ProgramJson(Json json, std::string source_name)
    : json_(std::move(json)), source_name_(std::move(source_name)) {
  check();
  for (const char* list :
       {"tensor_values", "sym_int_values", "sym_bool_values", "sym_float_values"}) {
    if (!graph().contains(list) || !graph()[list].is_object()) continue;
    for (const auto& [name, value] : graph()[list].items()) names_.insert(name);
  }
  index_inputs();
  index_nodes();
  index_outputs();
}

void ProgramJson::check() const {
  const JsonField root(json_, source_name_);
  const int64_t major = root.at("schema_version").at("major").integer();
  if (major != io::kPt2SchemaMajor) {
    throw_data("{}: schema version {}, expected {}", source_name_, major, io::kPt2SchemaMajor);
  }
  const JsonField module = root.at("graph_module");
  const JsonField graph = module.at("graph");
  for (const JsonField& node : graph.at("nodes").items()) check_node(node);
  for (const char* list : {"inputs", "outputs"}) {
    for (const JsonField& value : graph.at(list).items()) check_argument(value);
  }
  for (const auto& [name, tensor] : graph.at("tensor_values").members()) check_tensor(tensor);
  check_signature(module.at("signature"));
  const size_t inputs = graph.at("inputs").items().size();
  const size_t specs = module.at("signature").at("input_specs").items().size();
  if (inputs != specs) {
    throw_data("{}: the signature lists {} inputs, the graph {}", source_name_, specs, inputs);
  }
  for (const JsonField& call : module.at("module_call_graph").items()) call.at("fqn").string();
}

void ProgramJson::define(const std::string& value, Origin origin) {
  if (!origins_.emplace(value, origin).second)
    throw_data("{}: the value {} is computed twice", source_name_, value);
  names_.insert(value);
}

void ProgramJson::index_inputs() {
  const Json& inputs = graph()["inputs"];
  const Json& specs = signature()["input_specs"];
  for (size_t i = 0; i < inputs.size(); ++i) {
    for_each_tensor(
        inputs[i], [&](const Json& name, size_t) { define(name, {.is_input = true, .index = i}); });
    for_each_symbol(inputs[i],
                    [&](const std::string& name) { define(name, {.is_input = true, .index = i}); });
    const auto [kind, spec] = alternative(specs[i]);
    const bool is_parameter = kind == "parameter";
    if (kind == "tensor_constant") tensor_names_.insert((*spec)["tensor_constant_name"]);
    if (!is_parameter && kind != "buffer") continue;
    const std::string name = (*spec)[is_parameter ? "parameter_name" : "buffer_name"];
    const std::string value = (*spec)["arg"]["name"];
    const Origin* defined = origin(value);
    if (defined == nullptr || defined->index != i)
      throw_data("{}: input {} of the graph is not {}, the signature's", source_name_, i, value);
    if (!tensor_names_.insert(name).second)
      throw_data("{}: the signature lists {} twice", source_name_, name);
    if (is_parameter || (*spec)["persistent"].get<bool>())
      saved_.emplace(name, SavedInput{i, value, is_parameter});
  }
}

void ProgramJson::index_nodes() {
  for (size_t i = 0; i < nodes().size(); ++i) {
    const Json& node = nodes()[i];
    const Json& inputs = node["inputs"];
    for (size_t a = 0; a < inputs.size(); ++a) {
      for_each_tensor(inputs[a]["arg"], [&](const Json& name, size_t item) {
        if (!origins_.contains(name)) {
          throw_data("{}: node {} ({}) reads the value {}, which is not computed before it",
                     source_name_, i, target(i), name.get<std::string>());
        }
        reads_[name].push_back({i, a, item});
      });
      add_inner_values(inputs[a]["arg"], 0);
    }
    std::vector<std::string> results;
    for (const Json& output : node["outputs"]) {
      for_each_tensor(output, [&](const Json& name, size_t) { results.push_back(name); });
      for_each_symbol(output, [&](const std::string& name) { define(name, {false, i}); });
    }
    for (const std::string& result : results) define(result, {false, i});
    results_.push_back(std::move(results));
    if (node.contains("name") && node["name"].is_string()) names_.insert(node["name"]);
    const Json& metadata = node["metadata"];
    stacks_.push_back(metadata.contains("nn_module_stack")
                          ? split(metadata["nn_module_stack"].get_ref<const std::string&>(), ';')
                          : std::vector<std::string>());
  }
}

void ProgramJson::index_outputs() {
  const Json& outputs = graph()["outputs"];
  for (size_t i = 0; i < outputs.size(); ++i) {
    for_each_tensor(outputs[i], [&](const Json& name, size_t item) {
      if (!origins_.contains(name)) {
        throw_data("{}: the output reads the value {}, which is not computed", source_name_,
                   name.get<std::string>());
      }
      reads_[name].push_back({Read::kOutput, i, item});
    });
  }
  for (const Json& spec : signature()["output_specs"]) {
    const auto [kind, value] = alternative(spec);
    for (const char* field : {"buffer_name", "parameter_name", "user_input_name"}) {
      if (value->is_object() && value->contains(field) && (*value)[field].is_string())
        mutated_.insert((*value)[field]);
    }
  }
}

void ProgramJson::add_inner_values(const Json& argument, int depth) {
  if (depth > kDeepestGraph) throw_data("{}: graphs within graphs, too deep", source_name_);
  const auto found = argument.find("as_graph");
  if (found == argument.end() || !found->is_object() || !found->contains("graph")) return;
  const Json& graph = (*found)["graph"];
  if (!graph.is_object() || !graph.contains("nodes") || !graph["nodes"].is_array()) return;
  for (const Json& node : graph["nodes"]) {
    if (!node.is_object()) continue;
    if (const auto outputs = node.find("outputs"); outputs != node.end() && outputs->is_array()) {
      for (const Json& output : *outputs) {
        for_each_tensor(output, [&](const Json& name, size_t) { inner_values_.insert(name); });
      }
    }
    if (const auto inputs = node.find("inputs"); inputs != node.end() && inputs->is_array()) {
      for (const Json& input : *inputs) {
        if (input.is_object() && input.contains("arg") && input["arg"].is_object())
          add_inner_values(input["arg"], depth + 1);
      }
    }
  }
}

std::optional<size_t> ProgramJson::find_node(const std::string& value) const {
  const Origin* found = origin(value);
  if (found == nullptr || found->is_input) return std::nullopt;
  return found->index;
}

const std::string& ProgramJson::target(size_t node) const {
  return nodes()[node]["target"].get_ref<const std::string&>();
}

std::optional<size_t> ProgramJson::find_argument(size_t node, std::string_view name) const {
  const Json& inputs = nodes()[node]["inputs"];
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]["name"] == name) return i;
  }
  return std::nullopt;
}

const Origin* ProgramJson::origin(const std::string& value) const {
  const auto found = origins_.find(value);
  return found == origins_.end() ? nullptr : &found->second;
}

const std::vector<Read>& ProgramJson::reads(const std::string& value) const {
  static const std::vector<Read> kNone;
  const auto found = reads_.find(value);
  return found == reads_.end() ? kNone : found->second;
}

std::optional<ValueMeta> ProgramJson::meta(const std::string& value) const {
  const Json& values = graph()["tensor_values"];
  const auto found = values.find(value);
  if (found == values.end()) return std::nullopt;
  ValueMeta meta{io::dtype_of_pt2_code((*found)["dtype"].get<int64_t>()), {}, &*found};
  for (const Json& size : (*found)["sizes"]) {
    const auto [kind, number] = alternative(size);
    meta.sizes.push_back(kind == "as_int" ? std::optional(number->get<int64_t>()) : std::nullopt);
  }
  return meta;
}

const SavedInput* ProgramJson::find_saved(const std::string& name) const {
  const auto found = saved_.find(name);
  return found == saved_.end() ? nullptr : &found->second;
}

}  // namespace lathe::exporting
