#include "frontends/torch_export/graph_emitter.h"

#include <algorithm>

#include "base/error.h"
#include "frontends/torch_export/module_tree.h"
#include "frontends/torch_export/operators.h"

namespace lathe::frontends::torch_export {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

std::string Source::parameter_below(const std::string& value, const std::string& path) const {
  const InputSpec* spec = inputs.find(value);
  if (spec == nullptr || spec->kind == InputSpec::Kind::kUser) return {};
  for (const std::string& name : parameters.names_of(spec->target)) {
    if (is_below(name, path)) return relative_path(name, path);
  }
  return {};
}

void GraphEmitter::emit_items(const Built& children, const Target& target) {
  for (const Call::Item& item : call_.items) {
    if (item.node != nullptr) {
      emit_node(*item.node);
    } else {
      const BuiltCall& callee = children(*item.call);
      emit_call(callee, target(callee));
    }
  }
}

void GraphEmitter::emit_placeholders(const std::vector<std::string>& inputs) {
  for (const std::string& value : inputs)
    values_[value] = graph_.append({NodeKind::kPlaceholder, "input", {}, {}, {}});
  for (const auto& node : graph_.nodes()) node->target = node->name;
}

void GraphEmitter::emit_user_inputs() {
  for (const InputSpec& spec : source_.program.inputs) {
    if (spec.kind != InputSpec::Kind::kUser || spec.value.kind != Value::Kind::kName) continue;
    const std::string& name = spec.value.text;
    const Node* node = graph_.append({NodeKind::kPlaceholder, name, name, {}, {}});
    if (source_.program.graph.symbols.contains(name)) {
      node = call_op("aten::item", {node});
    } else if (source_.mutations.inputs.contains(name)) {
      node = call_op("aten::clone", {node});
    }
    values_[name] = node;
  }
}

void GraphEmitter::emit_user_outputs() {
  std::vector<std::pair<std::string, Argument>> outputs;
  size_t leaf = 0;
  for (const OutputSpec& spec : source_.program.outputs) {
    if (spec.kind == OutputSpec::Kind::kBufferMutation) {
      call_op("aten::copy_", {parameter(spec.target), argument(spec.value)});
    } else if (spec.kind == OutputSpec::Kind::kUser) {
      const auto& names = source_.program.output_names;
      const std::string name = leaf < names.size() ? names[leaf] : fmt::format("output_{}", leaf);
      ++leaf;
      if (spec.value.kind != Value::Kind::kNone) outputs.emplace_back(name, output(spec.value));
    }
  }
  Node node{NodeKind::kOutput, {}, {}, {}, {}};
  if (outputs.empty() || (outputs.size() == 1 && outputs[0].first == "output")) {
    node.args.push_back(outputs.empty() ? Argument() : outputs[0].second);
  } else {
    node.kwargs = std::move(outputs);
  }
  graph_.append(std::move(node));
}

void GraphEmitter::emit_outputs() {
  Argument::List values;
  for (const std::string& value : call_.outputs) values.emplace_back(resolve(value));
  Argument result;
  if (values.size() == 1) result = values[0];
  if (values.size() > 1) result = std::move(values);
  graph_.append({NodeKind::kOutput, {}, {}, {std::move(result)}, {}});
}

ir::GraphPtr GraphEmitter::take() { return std::make_shared<const ir::Graph>(std::move(graph_)); }

const ir::Node* GraphEmitter::call_op(std::string op, std::vector<Argument> args,
                                      std::string name) {
  return graph_.append({NodeKind::kCallOp, std::move(name), std::move(op), std::move(args), {}});
}

const ir::Node* GraphEmitter::parameter(const std::string& name) {
  return graph_.append({NodeKind::kGetAttr, {}, name, {}, {}});
}

const ir::Node* GraphEmitter::resolve(const std::string& value) {
  const Node*& node = values_[value];
  if (node != nullptr) return node;
  const InputSpec* spec = source_.inputs.find(value);
  if (spec != nullptr && spec->kind == InputSpec::Kind::kUnsupported)
    throw Untraceable{fmt::format("the input {} is a {}", value, spec->target)};
  const std::string path = source_.parameter_below(value, call_.site.path);
  check_internal(!path.empty(), "{}: the value {} is not there", call_.site.path, value);
  return node = parameter(path);
}

Argument GraphEmitter::argument(const Value& value) {
  if (value.kind == Value::Kind::kName) return resolve(value.text);
  if (value.kind != Value::Kind::kList) return constant_argument(value);
  Argument::List items;
  for (const Value& item : value.items) items.push_back(argument(item));
  return items;
}

Argument GraphEmitter::output(const Value& value) {
  const bool is_symbol =
      value.kind == Value::Kind::kName && source_.program.graph.symbols.contains(value.text);
  if (value.kind == Value::Kind::kName && !is_symbol) return resolve(value.text);
  Node node{NodeKind::kCallOp, {}, "aten::scalar_tensor", {argument(value)}, {}};
  node.kwargs.emplace_back("dtype", number_dtype(value));
  return graph_.append(std::move(node));
}

at::ScalarType GraphEmitter::number_dtype(const Value& value) const {
  Value::Kind kind = value.kind;
  if (kind == Value::Kind::kName) kind = source_.program.graph.symbols.at(value.text);
  return kind == Value::Kind::kBool    ? at::kBool
         : kind == Value::Kind::kFloat ? at::kFloat
                                       : at::kLong;
}

void GraphEmitter::emit_node(const FlatNode& flat) {
  Node node{NodeKind::kCallOp, {}, operator_name(flat.target), {}, {}};
  check_call(flat, node.target);
  check_results(flat, node.target);
  const auto formal = argument_names(node.target);
  for (size_t i = 0; i < flat.inputs.size(); ++i) {
    const NamedValue& input = flat.inputs[i];
    const bool positional =
        formal.empty() || (node.kwargs.empty() && i < formal.size() && formal[i] == input.name);
    if (positional) {
      node.args.push_back(argument(input.value));
    } else {
      node.kwargs.emplace_back(input.name, argument(input.value));
    }
  }
  const Node* appended = graph_.append(std::move(node));
  operators_[appended->name] = flat.value_name();
  bind(flat.outputs, appended);
}

void GraphEmitter::check_call(const FlatNode& flat, const std::string& op) const {
  const auto handle = find_operator(op);
  if (!handle) return;  // a function on numbers
  const auto& formal = handle->schema().arguments();
  std::unordered_set<std::string_view> given_names;
  for (const NamedValue& input : flat.inputs) {
    if (!given_names.insert(input.name).second)
      throw Untraceable{fmt::format("{} is given {} twice", op, input.name)};
    const auto found = std::find_if(formal.begin(), formal.end(), [&](const c10::Argument& item) {
      return item.name() == input.name;
    });
    if (found == formal.end())
      throw Untraceable{fmt::format("{} has no argument {}", op, input.name)};
    if (!fits(input.value, *found->type()))
      throw Untraceable{
          fmt::format("argument {} of {} is no {}", input.name, op, found->type()->str())};
  }
  for (const c10::Argument& item : formal) {
    if (!given_names.contains(item.name()) && !item.default_value())
      throw Untraceable{fmt::format("{} lacks its argument {}", op, item.name())};
  }
}

void GraphEmitter::check_results(const FlatNode& flat, const std::string& op) const {
  const auto handle = find_operator(op);
  const size_t given = handle ? handle->schema().returns().size() : 1;
  if (given != flat.outputs.size())
    throw Untraceable{
        fmt::format("{} gives {} values, the node has {}", op, given, flat.outputs.size())};
  for (size_t i = 0; i < given; ++i) {
    const c10::TypeKind kind =
        handle ? handle->schema().returns()[i].type()->kind() : c10::TypeKind::NumberType;
    const Value& output = flat.outputs[i];
    const bool is_symbol = source_.program.graph.symbols.contains(output.text);
    const bool is_list = kind == c10::TypeKind::ListType;
    const bool is_tensor = kind == c10::TypeKind::TensorType || kind == c10::TypeKind::OptionalType;
    const bool is_name = output.kind == Value::Kind::kName;
    if ((output.kind == Value::Kind::kList) != is_list || (is_name && (is_symbol == is_tensor)))
      throw Untraceable{fmt::format("{} does not give what the node has as {}", op, output.text)};
  }
}

std::vector<std::string> GraphEmitter::argument_names(const std::string& op) {
  std::vector<std::string> names;
  const auto handle = find_operator(op);
  if (!handle) return names;
  for (const c10::Argument& formal : handle->schema().arguments()) {
    if (formal.kwarg_only()) break;
    names.push_back(formal.name());
  }
  if (names.empty()) names.emplace_back();  // all by name
  return names;
}

void GraphEmitter::bind(const std::vector<Value>& outputs, const Node* node) {
  if (outputs.size() == 1) return bind(outputs[0], node);
  for (size_t i = 0; i < outputs.size(); ++i) bind_item(outputs[i], node, i);
}

void GraphEmitter::bind(const Value& output, const Node* node) {
  if (output.kind == Value::Kind::kName) values_[output.text] = node;
  for (size_t i = 0; i < output.items.size(); ++i) bind_item(output.items[i], node, i);
}

void GraphEmitter::bind_item(const Value& item, const Node* node, size_t index) {
  bool is_read = false;
  for_each_name(item, [&](const std::string& name) { is_read |= source_.read.contains(name); });
  if (is_read) bind(item, call_op("builtin::getitem", {node, static_cast<int64_t>(index)}));
}

void GraphEmitter::emit_call(const BuiltCall& callee, std::string target) {
  std::vector<Argument> args;
  for (const std::string& value : callee.inputs) args.emplace_back(resolve(value));
  const Node* node =
      graph_.append({NodeKind::kCallModule, {}, std::move(target), std::move(args), {}});
  if (callee.results.size() == 1) {
    values_[callee.results[0]] = node;
    return;
  }
  for (size_t i = 0; i < callee.results.size(); ++i)
    bind_item({.kind = Value::Kind::kName, .text = callee.results[i]}, node, i);
}

}  // namespace lathe::frontends::torch_export
