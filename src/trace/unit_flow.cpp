#include "trace/unit_flow.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "ops/operator_leaves.h"
#include "trace/operator_classes.h"

namespace lathe::trace {
namespace {

const UnitValue kUnknown;

/// The operator that a leaf is; "" if it is none.
std::string leaf_operator(const ir::Module& module) {
  for (const ops::OperatorLeaf& leaf : ops::operator_leaves()) {
    if (leaf.type == module.type) return std::string(leaf.op);
  }
  return {};
}

/// Types whose value's shape their rule knows, without a run.
bool is_shape_known(std::string_view type) {
  constexpr std::array<std::string_view, 8> kTypes = {
      "Linear",  "Conv1D",    "Float32Linear", "Embedding",
      "RMSNorm", "LayerNorm", "TopKRouter",    "TensorQuantizer"};
  return type.starts_with("Conv") || type.ends_with("RotaryEmbedding") ||
         std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

/// Operators whose value's shape their rule knows. LibTorch cannot run all of them without data.
bool is_shape_known_of_operator(std::string_view target) {
  constexpr std::array<std::string_view, 8> kNames = {
      "linear",     "embedding",  "layer_norm",    "rms_norm",
      "batch_norm", "group_norm", "instance_norm", "scaled_dot_product_attention"};
  if (!target.starts_with("aten::")) return target.starts_with("lathe::");
  const std::string_view name = operator_name(target);
  if (operator_class(target) == OperatorClass::kElementwise || name.starts_with("conv") ||
      std::find(kNames.begin(), kNames.end(), name) != kNames.end())
    return true;
  const auto passthrough = operator_passthrough(target);
  return passthrough && !passthrough->dims && name != "glu";
}

struct AttributeValue {
  template <typename T>
  c10::IValue operator()(const T& value) const {
    return value;
  }
};

std::vector<int64_t> tensor_sizes(const c10::IValue& value) {
  return value.isTensor() && value.toTensor().defined() ? value.toTensor().sizes().vec()
                                                        : std::vector<int64_t>();
}

}  // namespace

void UnitFlow::run(const Inputs& inputs) {
  for (ValueId id = 0; id < graph_.nodes().size(); ++id) {
    const FlatNode& node = graph_.node(id);
    if (node.kind == ir::NodeKind::kPlaceholder) {
      const auto found = node.node == nullptr ? inputs.end() : inputs.find(node.node->target);
      if (found == inputs.end()) continue;
      shapes_.set(id, found->second);
      give(id, constants(found->second.sizes().vec()));
    } else {
      run_node(id);
    }
  }
}

void UnitFlow::run_node(ValueId id) {
  const FlatNode& node = graph_.node(id);
  switch (node.kind) {
    case ir::NodeKind::kGetAttr:
      shapes_.run(id);
      return give(id, parameter(graph_.scope(node).module->find_parameter(node.node->target)));
    case ir::NodeKind::kCallModule:
      return run_leaf(id);
    case ir::NodeKind::kCallOp:
      return run_operator(id);
    case ir::NodeKind::kOutput:
      return fix_inputs(node, "it leaves the model");
    case ir::NodeKind::kPlaceholder:
      return;
  }
}

void UnitFlow::run_leaf(ValueId id) {
  const FlatNode& node = graph_.node(id);
  if (!is_shape_known(node.callee->type)) shapes_.run(id);
  if (apply_leaf_rule(*this, id, *node.callee)) return check(id);
  if (const std::string op = leaf_operator(*node.callee); !op.empty() && node.node != nullptr) {
    OpCall call(*this, id, op);
    if (apply_view_rule(call) || apply_elementwise_rule(call)) return check(id);
  }
  const auto passthrough = module_passthrough(node.callee->type);
  if (passthrough && !passthrough->dims) return give(id, UnitValue(first(node)));
  give_up(id, fmt::format("{} has no rule", node.callee->type));
}

void UnitFlow::run_operator(ValueId id) {
  const FlatNode& node = graph_.node(id);
  if (!is_shape_known_of_operator(node.node->target)) shapes_.run(id);
  if (node.node->target == "builtin::getitem") {
    const ValueId tuple = node.inputs.empty() ? kNoValue : node.inputs[0];
    const auto* index = std::get_if<int64_t>(&node.node->args.at(1).value());
    if (tuple != kNoValue && index != nullptr && *index >= 0 &&
        static_cast<size_t>(*index) < values_[tuple].size()) {
      if (const auto chosen = chosen_experts.find(tuple); chosen != chosen_experts.end())
        chosen_experts[id] = chosen->second;
      return give(id, UnitValue(value(tuple, static_cast<size_t>(*index))));
    }
  }
  OpCall call(*this, id);
  const bool done = apply_view_rule(call) || apply_elementwise_rule(call) ||
                    apply_product_rule(call) || apply_layer_rule(call) || apply_lathe_rule(call);
  if (!done) return give_up(id, fmt::format("{} has no rule", node.node->target));
  check(id);
}

at::ScalarType UnitFlow::dtype_of_inputs(ValueId id) const {
  for (const ValueId input : graph_.node(id).inputs) {
    const c10::IValue& value = shapes_.value(input);
    if (value.isTensor() && value.toTensor().defined()) return value.toTensor().scalar_type();
  }
  return at::kFloat;
}

/// A rule's value must have the sizes that the operator gives; else nothing of it may change.
void UnitFlow::check(ValueId id) {
  const auto sizes = sizes_of(shapes_.value(id));
  auto& values = values_[id];
  if (sizes.empty()) {
    if (values.size() == 1 && values[0].known) {
      std::vector<int64_t> own;
      for (const AxisId axis : values[0].dims) own.push_back(axes().size(axis));
      shapes_.set(id, ShapeRun::empty(own, dtype_of_inputs(id)));
    }
    return;
  }
  bool fits = values.size() == sizes.size();
  for (size_t i = 0; fits && i < sizes.size(); ++i) {
    if (!values[i].known) continue;
    std::vector<int64_t> own;
    for (const AxisId axis : values[i].dims) own.push_back(axes().size(axis));
    fits = own == sizes[i];
  }
  if (!fits) give_up(id, "its shape is not what the rule says");
}

std::vector<std::vector<int64_t>> UnitFlow::sizes_of(const c10::IValue& value) const {
  std::vector<std::vector<int64_t>> sizes;
  if (value.isTensor()) sizes.push_back(tensor_sizes(value));
  if (value.isTensorList()) {
    for (const at::Tensor& tensor : value.toTensorVector()) sizes.push_back(tensor.sizes().vec());
  }
  if (value.isTuple()) {
    for (const c10::IValue& item : value.toTupleRef().elements())
      sizes.push_back(tensor_sizes(item));
  }
  return sizes;
}

const UnitValue& UnitFlow::value(ValueId id, size_t item) const {
  if (id == kNoValue || item >= values_[id].size()) return kUnknown;
  return values_[id][item];
}

const UnitValue& UnitFlow::value(const FlatNode& node, const ir::Argument& argument) const {
  return value(graph_.value(node, argument).id);
}

const UnitValue& UnitFlow::first(const FlatNode& node) const {
  return node.inputs.empty() ? kUnknown : value(node.inputs[0]);
}

UnitValue UnitFlow::parameter(const ir::ParameterPtr& parameter) {
  if (!parameter) return {};
  auto [entry, is_new] = result_.parameters.try_emplace(parameter.get());
  if (is_new) {
    for (const int64_t size : parameter->shape()) entry->second.push_back(axes().fresh(size));
  }
  return {true, entry->second, ~uint64_t{0}};
}

UnitValue UnitFlow::parameter(const ir::Module& module, std::string_view name) {
  return parameter(module.find_parameter(name));
}

UnitValue UnitFlow::constants(const std::vector<int64_t>& sizes) {
  UnitValue value{true, {}, 0};
  for (const int64_t size : sizes) value.dims.push_back(axes().constant(size));
  return value;
}

UnitValue UnitFlow::broadcast(const UnitValue& a, const UnitValue& b) {
  if (!a.known || !b.known) {
    fix(a, "the other tensor is not known");
    fix(b, "the other tensor is not known");
    return {};
  }
  const UnitValue& longer = a.rank() >= b.rank() ? a : b;
  const UnitValue& shorter = &longer == &a ? b : a;
  UnitValue result = longer;
  for (size_t i = 0; i < shorter.rank(); ++i) {
    const size_t at = longer.rank() - 1 - i;
    const size_t other = shorter.rank() - 1 - i;
    AxisId& axis = result.dims[at];
    if (axes().size(axis) == 1) {
      axis = shorter.dims[other];
      result.set_zero(at, shorter.is_zero(other));
    } else if (axes().size(shorter.dims[other]) != 1) {
      axes().tie(axis, shorter.dims[other]);
    }
  }
  return result;
}

void UnitFlow::fix(const UnitValue& value, std::string_view reason) {
  for (const AxisId axis : value.dims) axes().fix(axis, reason);
}

void UnitFlow::fix_inputs(const FlatNode& node, std::string_view reason) {
  for (const ValueId input : node.inputs) {
    for (const UnitValue& value : values_[input]) fix(value, reason);
  }
}

void UnitFlow::note(const ir::Module& module, std::string name, AxisId axis, bool outgoing) {
  result_.symbols.push_back({&module, std::move(name), axis, outgoing});
}

void UnitFlow::note_statistics(AxisId axis) {
  for (const AxisId atom : axes().atoms(axis)) result_.statistics.insert(atom);
}

void UnitFlow::give(ValueId id, UnitValue value) {
  values_[id].clear();
  values_[id].push_back(std::move(value));
}

void UnitFlow::give(ValueId id, std::vector<UnitValue> values) { values_[id] = std::move(values); }

void UnitFlow::give_up(ValueId id, std::string_view reason) {
  fix_inputs(graph_.node(id), reason);
  if (shapes_.value(id).isNone()) shapes_.run(id);
  std::vector<UnitValue> results;
  const auto sizes = sizes_of(shapes_.value(id));
  for (const auto& own : sizes) results.push_back(constants(own));
  give(id, std::move(results));
}

OpCall::OpCall(UnitFlow& flow, ValueId id)
    : flow(flow), id(id), node(flow.graph().node(id)), name(node.node->target) {
  if (!node.node->target.starts_with("builtin::")) {
    names_ = ShapeRun::argument_names(node);
    values_ = flow.shapes().arguments(node);
  }
}

OpCall::OpCall(UnitFlow& flow, ValueId id, std::string_view op)
    : flow(flow), id(id), node(flow.graph().node(id)), name(op) {
  const auto schema = ShapeRun::find_schema(name);
  if (schema == nullptr) return;
  for (const c10::Argument& formal : schema->arguments()) {
    const ir::Attribute* attribute = node.callee->attributes.find(formal.name());
    names_.push_back(formal.name());
    values_.push_back(attribute ? std::visit(AttributeValue(), *attribute)
                                : formal.default_value().value_or(c10::IValue()));
  }
}

size_t OpCall::index_of(std::string_view argument) const {
  const auto found = std::find(names_.begin(), names_.end(), argument);
  return static_cast<size_t>(found - names_.begin());
}

const ir::Argument* OpCall::argument(std::string_view argument) const {
  if (is_leaf()) {
    const bool is_first = argument == "self" || argument == "input";
    return is_first && !node.node->args.empty() ? &node.node->args[0] : nullptr;
  }
  for (const auto& [given, value] : node.node->kwargs) {
    if (given == argument) return &value;
  }
  const size_t index = index_of(argument);
  return index < names_.size() && index < node.node->args.size() ? &node.node->args[index]
                                                                 : nullptr;
}

const c10::IValue& OpCall::value(std::string_view argument) const {
  static const c10::IValue kNone;
  const size_t index = index_of(argument);
  return index < values_.size() ? values_[index] : kNone;
}

bool OpCall::has(std::string_view argument) const {
  const ir::Argument* given = this->argument(argument);
  return given != nullptr && !given->is_none();
}

const UnitValue OpCall::tensor(std::string_view argument) const {
  if (is_leaf() && node.callee->find_parameter(argument) != nullptr)
    return flow.parameter(*node.callee, argument);
  const ir::Argument* given = this->argument(argument);
  return given == nullptr ? kUnknown : flow.value(node, *given);
}

std::vector<UnitValue> OpCall::tensors(std::string_view argument) const {
  std::vector<UnitValue> values;
  const ir::Argument* given = this->argument(argument);
  const auto* list = given ? std::get_if<ir::Argument::List>(&given->value()) : nullptr;
  if (list == nullptr) return values;
  for (const ir::Argument& item : *list) values.push_back(flow.value(node, item));
  return values;
}

int64_t OpCall::integer(std::string_view argument, int64_t otherwise) const {
  const c10::IValue& found = value(argument);
  return found.isInt() ? found.toInt() : otherwise;
}

std::vector<int64_t> OpCall::integers(std::string_view argument) const {
  const c10::IValue& found = value(argument);
  if (found.isIntList()) return found.toIntVector();
  if (found.isInt()) return {found.toInt()};
  return {};
}

bool OpCall::flag(std::string_view argument) const {
  const c10::IValue& found = value(argument);
  return found.isBool() && found.toBool();
}

size_t OpCall::dim(std::string_view argument, const UnitValue& tensor, int64_t otherwise) const {
  const int64_t dim = integer(argument, otherwise);
  const auto rank = static_cast<int64_t>(tensor.rank());
  return static_cast<size_t>(dim < 0 ? dim + rank : dim);
}

std::vector<int64_t> OpCall::result_sizes() const { return tensor_sizes(flow.shapes().value(id)); }

void OpCall::note_size(std::string_view argument, int64_t item, std::vector<AxisId> axes) const {
  if (is_leaf()) {
    if (!node.callee->has_attribute(argument)) return;
    SizeUse use{node.callee};
    use.name = argument;
    use.item = item;
    use.axes = std::move(axes);
    flow.result().sizes.push_back(std::move(use));
    return;
  }
  const ir::Argument* given = this->argument(argument);
  if (given == nullptr) return;
  const ir::Argument* number = given;
  if (item >= 0) {
    const auto* list = std::get_if<ir::Argument::List>(&given->value());
    if (list == nullptr || static_cast<size_t>(item) >= list->size()) return;
    number = &(*list)[static_cast<size_t>(item)];
  }
  const auto* size = std::get_if<int64_t>(&number->value());
  if (size == nullptr || *size < 0) return;
  const bool by_position = !node.node->args.empty() && given >= node.node->args.data() &&
                           given < node.node->args.data() + node.node->args.size();
  SizeUse use{flow.graph().scope(node).module, node.node};
  if (by_position) {
    use.argument = static_cast<size_t>(given - node.node->args.data());
  } else {
    use.name = argument;
  }
  use.item = item;
  use.axes = std::move(axes);
  flow.result().sizes.push_back(std::move(use));
}

}  // namespace lathe::trace
