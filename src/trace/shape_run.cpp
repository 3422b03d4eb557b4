#include "trace/shape_run.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>

#include <exception>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "ops/argument_values.h"
#include "ops/operators.h"
#include "ops/scalar_functions.h"

namespace lathe::trace {
namespace {

using c10::IValue;

std::optional<c10::OperatorHandle> find_operator(const std::string& target) {
  const size_t dot = target.find('.');
  return c10::Dispatcher::singleton().findSchema(
      {target.substr(0, dot), dot == target.npos ? "" : target.substr(dot + 1)});
}

/// Tensors that an operator made on the CPU (of ranges, constants) lose their data.
IValue without_data(const IValue& value) {
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    if (!tensor.defined() || tensor.is_meta()) return value;
    return ShapeRun::empty(tensor.sizes().vec(), tensor.scalar_type());
  }
  if (value.isTuple()) {
    std::vector<IValue> items;
    for (const IValue& item : value.toTupleRef().elements()) items.push_back(without_data(item));
    return c10::ivalue::Tuple::create(std::move(items));
  }
  return value;
}

/// The module with tensors that have no data.
ir::Module hollow(const ir::Module& module) {
  ir::Module copy(module.type);
  copy.attributes = module.attributes;
  for (const auto& [name, parameter] : module.parameters) {
    copy.parameters.set(name, std::make_shared<ir::Parameter>(
                                  ShapeRun::empty(parameter->shape(), parameter->dtype())));
  }
  for (const auto& [name, buffer] : module.buffers) {
    copy.buffers.set(
        name, std::make_shared<ir::Parameter>(ShapeRun::empty(buffer->shape(), buffer->dtype())));
  }
  return copy;
}

IValue item_of(const IValue& tuple, int64_t index) {
  std::vector<IValue> items;
  if (tuple.isTuple()) items = tuple.toTupleRef().elements().vec();
  if (tuple.isTensorList()) {
    for (const at::Tensor& tensor : tuple.toTensorVector()) items.emplace_back(tensor);
  }
  const auto size = static_cast<int64_t>(items.size());
  if (index < 0) index += size;
  return index < 0 || index >= size ? IValue() : items[static_cast<size_t>(index)];
}

bool has_unknown(const std::vector<IValue>& values, const std::vector<ValueId>& inputs) {
  for (const ValueId input : inputs) {
    if (values[input].isNone()) return true;
  }
  return false;
}

/// Nothing if it holds a value that is not known.
IValue argument_value(const ir::Argument& argument, const ops::ValueView& values,
                      const c10::Argument& formal, const std::string& path) {
  bool known = true;
  argument.for_each_node([&](const ir::Node* node) { known &= !values.of(node).isNone(); });
  if (!known) return {};
  try {
    return ops::to_value(argument, values, formal.type());
  } catch (const c10::Error&) {  // what it says is for who wrote LibTorch
    throw_data("{}: argument {} must be a {}", path, formal.name(), formal.type()->str());
  }
}

}  // namespace

ShapeRun::ShapeRun(const FlatGraph& graph)
    : graph_(graph), leaves_(ops::LeafTable::builtin()), values_(graph.nodes().size()) {
  ops::register_operators();
}

at::Tensor ShapeRun::empty(const std::vector<int64_t>& sizes, at::ScalarType dtype) {
  return at::empty(sizes, at::TensorOptions().dtype(dtype).device(at::kMeta));
}

const IValue& ShapeRun::value(const FlatNode& node, const ir::Argument& argument) const {
  static const IValue kNone;
  const ValueId id = graph_.value(node, argument).id;
  return id == kNoValue ? kNone : values_[id];
}

const IValue& ShapeRun::run(ValueId id) {
  const FlatNode& node = graph_.node(id);
  if (has_unknown(values_, node.inputs)) return values_[id];
  try {
    if (node.kind == ir::NodeKind::kCallOp) values_[id] = without_data(run_operator(node));
    if (node.kind == ir::NodeKind::kCallModule) values_[id] = without_data(run_leaf(node));
  } catch (const std::exception& error) {
    // Operators whose shape depends on data cannot be run without it: their values stay unknown.
    spdlog::debug("{}: no shape: {}", graph_.path(node), error.what());
  }
  if (node.kind == ir::NodeKind::kGetAttr) {
    const ir::ParameterPtr parameter = graph_.scope(node).module->find_parameter(node.node->target);
    values_[id] = empty(parameter->shape(), parameter->dtype());
  }
  return values_[id];
}

const c10::FunctionSchema* ShapeRun::find_schema(const std::string& target) {
  const auto op = find_operator(target);
  return op ? &op->schema() : nullptr;
}

std::vector<std::string> ShapeRun::argument_names(const FlatNode& node) {
  std::vector<std::string> names;
  const auto op = find_operator(node.node->target);
  if (!op) return names;
  for (const c10::Argument& formal : op->schema().arguments()) names.push_back(formal.name());
  return names;
}

std::vector<IValue> ShapeRun::arguments(const FlatNode& node) const {
  const auto op = find_operator(node.node->target);
  if (!op) return {};
  std::unordered_map<const ir::Node*, size_t> slots;
  std::vector<IValue> values;
  node.node->for_each_input([&](const ir::Node* input) {
    if (slots.emplace(input, values.size()).second) values.push_back(value(node, input));
  });
  const ops::ValueView view{slots, values};
  std::vector<IValue> stack;
  for (const c10::Argument& formal : op->schema().arguments()) {
    const ir::Argument* given =
        stack.size() < node.node->args.size() ? &node.node->args[stack.size()] : nullptr;
    for (const auto& [name, argument] : node.node->kwargs) {
      if (name == formal.name()) given = &argument;
    }
    if (formal.name() == "device") {
      stack.emplace_back(c10::Device(c10::kMeta));
    } else if (given != nullptr) {
      stack.push_back(argument_value(*given, view, formal, graph_.path(node)));
    } else {
      stack.push_back(formal.default_value().value_or(IValue()));
    }
  }
  return stack;
}

IValue ShapeRun::run_operator(const FlatNode& node) const {
  const std::string& target = node.node->target;
  if (target == "builtin::getitem") {
    const auto* index = std::get_if<int64_t>(&node.node->args.at(1).value());
    return index == nullptr ? IValue() : item_of(value(node, node.node->args[0]), *index);
  }
  if (const ops::ScalarFunction function = ops::find_scalar_function(target)) {
    std::vector<IValue> numbers;
    for (const ir::Argument& argument : node.node->args) {
      if (argument.node() != nullptr) numbers.push_back(value(node, argument));
      if (const auto* integer = std::get_if<int64_t>(&argument.value()))
        numbers.emplace_back(*integer);
      if (const auto* real = std::get_if<double>(&argument.value())) numbers.emplace_back(*real);
    }
    return function(numbers);
  }
  // Lathe's own operators compute on the CPU: whoever knows them says their shapes.
  if (target.starts_with("lathe::")) return {};
  const auto op = find_operator(target);
  if (!op) return {};
  torch::jit::Stack stack = arguments(node);
  op->callBoxed(stack);
  if (stack.size() == 1) return std::move(stack[0]);
  return c10::ivalue::Tuple::create(std::move(stack));
}

IValue ShapeRun::run_leaf(const FlatNode& node) const {
  const ops::LeafFunction* function = leaves_.find(node.callee->type);
  if (function == nullptr || node.node == nullptr) return {};
  std::vector<IValue> arguments;
  for (const ir::Argument& argument : node.node->args) arguments.push_back(value(node, argument));
  return (*function)(hollow(*node.callee), arguments);
}

}  // namespace lathe::trace
