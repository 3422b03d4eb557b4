#include "frontends/torch_export/inline_graphs.h"

#include <algorithm>
#include <unordered_map>

namespace lathe::frontends::torch_export {
namespace {

using Names = std::unordered_map<std::string, Value>;

constexpr std::string_view kHigherOrder = "torch.ops.higher_order.";

Value substitute(const Value& value, const Names& names) {
  if (value.kind == Value::Kind::kName) {
    const auto found = names.find(value.text);
    return found == names.end() ? value : found->second;
  }
  Value copy = value;
  for (Value& item : copy.items) item = substitute(item, names);
  return copy;
}

/// The graph that may take the node's place, the arguments that it is given, and the names of what
/// it gives.
struct Inlined {
  const FlatGraph* graph;
  std::vector<const Value*> arguments;
  std::vector<std::string> results;
};

/// The names of a node's values; torch 2.6 lists them within one value. Nothing for other values.
std::optional<std::vector<std::string>> result_names(const FlatNode& node) {
  const bool is_list = node.outputs.size() == 1 && node.outputs[0].kind == Value::Kind::kList;
  std::vector<std::string> names;
  for (const Value& output : is_list ? node.outputs[0].items : node.outputs) {
    if (output.kind != Value::Kind::kName) return std::nullopt;
    names.push_back(output.text);
  }
  return names;
}

bool are_names(const std::vector<Value>& values) {
  return std::all_of(values.begin(), values.end(),
                     [](const Value& value) { return value.kind == Value::Kind::kName; });
}

std::optional<Inlined> find_inlined(const FlatNode& node) {
  if (!node.target.starts_with(kHigherOrder)) return std::nullopt;
  const std::string_view name = std::string_view(node.target).substr(kHigherOrder.size());
  const bool is_grad = name == "wrap_with_set_grad_enabled";
  if (!is_grad && name != "wrap_with_autocast") return std::nullopt;
  const size_t graph_index = is_grad ? 1 : 4;
  if (node.inputs.size() <= graph_index) return std::nullopt;
  const Value& graph = node.inputs[graph_index].value;
  if (graph.kind != Value::Kind::kGraph) return std::nullopt;
  constexpr size_t kEnabled = 2;
  if (!is_grad && (node.inputs[kEnabled].value.kind != Value::Kind::kBool ||
                   node.inputs[kEnabled].value.integer != 0)) {
    return std::nullopt;
  }
  auto results = result_names(node);
  if (!results || !are_names(graph.graph->inputs)) return std::nullopt;
  Inlined inlined{graph.graph.get(), {}, *std::move(results)};
  for (size_t i = graph_index + 1; i < node.inputs.size(); ++i)
    inlined.arguments.push_back(&node.inputs[i].value);
  const bool fits = inlined.arguments.size() == graph.graph->inputs.size() &&
                    inlined.results.size() == graph.graph->outputs.size();
  return fits ? std::optional(inlined) : std::nullopt;
}

bool is_assertion(const FlatNode& node) {
  return node.target == "torch.ops.aten._assert_tensor_metadata.default";
}

class Inliner {
 public:
  explicit Inliner(FlatGraph& result) : result_(result) {}

  /// Appends the nodes; values get new names where `names` is that of an inner graph.
  void append(const FlatGraph& graph, Names& names, bool is_inner) {
    for (const FlatNode& node : graph.nodes) {
      if (is_assertion(node)) continue;
      if (const auto inlined = find_inlined(node)) {
        append_inlined(*inlined, names);
        continue;
      }
      FlatNode copy = node;
      for (NamedValue& input : copy.inputs) input.value = substitute(input.value, names);
      if (is_inner) {
        for (const Value& output : copy.outputs) rename(output, graph, names);
        for (Value& output : copy.outputs) output = substitute(output, names);
      }
      result_.nodes.push_back(std::move(copy));
    }
  }

 private:
  void append_inlined(const Inlined& inlined, Names& names) {
    Names inner;
    for (size_t i = 0; i < inlined.arguments.size(); ++i)
      inner[inlined.graph->inputs[i].text] = substitute(*inlined.arguments[i], names);
    append(*inlined.graph, inner, true);
    for (size_t i = 0; i < inlined.results.size(); ++i)
      names[inlined.results[i]] = substitute(inlined.graph->outputs[i], inner);
  }

  void rename(const Value& output, const FlatGraph& graph, Names& names) {
    for (const Value& item : output.items) rename(item, graph, names);
    if (output.kind != Value::Kind::kName) return;
    // '#' is in no name that Python makes.
    const std::string name = output.text + "#" + std::to_string(++renamed_);
    names[output.text] = {.kind = Value::Kind::kName, .text = name};
    if (const auto meta = graph.tensors.find(output.text); meta != graph.tensors.end())
      result_.tensors.emplace(name, meta->second);
    if (const auto kind = graph.symbols.find(output.text); kind != graph.symbols.end())
      result_.symbols.emplace(name, kind->second);
  }

  FlatGraph& result_;
  size_t renamed_ = 0;
};

}  // namespace

void inline_graphs(Program& program) {
  FlatGraph flat{.inputs = program.graph.inputs,
                 .outputs = {},
                 .nodes = {},
                 .tensors = program.graph.tensors,
                 .symbols = program.graph.symbols};
  Names names;
  Inliner(flat).append(program.graph, names, false);
  for (const Value& output : program.graph.outputs)
    flat.outputs.push_back(substitute(output, names));
  for (OutputSpec& output : program.outputs) output.value = substitute(output.value, names);
  program.graph = std::move(flat);
}

}  // namespace lathe::frontends::torch_export
