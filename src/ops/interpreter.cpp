#include "ops/interpreter.h"

#include <algorithm>

#include "base/error.h"
#include "ops/argument_values.h"
#include "ops/operators.h"

namespace lathe::ops {
namespace {

c10::IValue placeholder_default(const ir::Node& node) {
  static const std::unordered_map<const ir::Node*, size_t> no_slots;
  static const std::vector<c10::IValue> no_values;
  return to_value(node.args[0], {no_slots, no_values});
}

c10::IValue item_of(const c10::IValue& value, int64_t index) {
  const c10::ArrayRef<c10::IValue> items =
      value.isTuple() ? value.toTupleRef().elements().asArrayRef() : value.toListRef();
  if (index < 0 || index >= static_cast<int64_t>(items.size()))
    throw_data("item {} of {} values is asked for", index, items.size());
  return items[static_cast<size_t>(index)];
}

/// The output node's value: one, or a tuple in the order of its names.
c10::IValue output_value(const ir::Node& node, const ValueView& values) {
  if (node.kwargs.empty()) return to_value(node.args.at(0), values);
  std::vector<c10::IValue> items;
  for (const auto& [name, argument] : node.kwargs) items.push_back(to_value(argument, values));
  return c10::ivalue::Tuple::create(std::move(items));
}

void release(const Step& step, std::vector<c10::IValue>& values) {
  for (const size_t slot : step.released) values[slot] = c10::IValue();
}

std::vector<c10::IValue> argument_values(const std::vector<ir::Argument>& arguments,
                                         const ValueView& view) {
  std::vector<c10::IValue> values;
  values.reserve(arguments.size());
  for (const ir::Argument& argument : arguments) values.push_back(to_value(argument, view));
  return values;
}

/// A node's arguments as its operator's schema orders them.
torch::jit::Stack operator_arguments(const Step& step, const ValueView& view) {
  const ir::Node& node = *step.node;
  const auto& formal = step.op->schema().arguments();
  check_internal(node.args.size() <= formal.size(), "{} takes {} arguments, {} are given",
                 node.target, formal.size(), node.args.size());
  torch::jit::Stack stack;
  stack.reserve(formal.size());
  size_t named = 0;
  for (size_t i = 0; i < formal.size(); ++i) {
    const auto keyword =
        std::find_if(node.kwargs.begin(), node.kwargs.end(),
                     [&](const auto& item) { return item.first == formal[i].name(); });
    if (i < node.args.size()) {
      stack.push_back(to_value(node.args[i], view, formal[i].type()));
    } else if (keyword != node.kwargs.end()) {
      stack.push_back(to_value(keyword->second, view, formal[i].type()));
      ++named;
    } else {
      check_internal(formal[i].default_value().has_value(), "argument {} of {} is missing",
                     formal[i].name(), node.target);
      stack.push_back(*formal[i].default_value());
    }
  }
  check_internal(named == node.kwargs.size(), "{} does not take all of the names it is given",
                 node.target);
  return stack;
}

/// aten::scaled_dot_product_attention by Lathe's kernel, where there is neither mask nor dropout.
std::optional<at::Tensor> fused_attention(const torch::jit::Stack& arguments) {
  if (arguments.at(3).isTensor() || arguments.at(4).toDouble() != 0.0) return std::nullopt;
  return fused_scaled_dot_product_attention(arguments[0].toTensor(), arguments[1].toTensor(),
                                            arguments[2].toTensor(), arguments.at(5).toBool(),
                                            arguments.at(6).toOptional<double>());
}

double weight_offset_of(const ir::Module& norm) {
  return norm.has_attribute("weight_offset") ? norm.float_attribute("weight_offset") : 0.0;
}

}  // namespace

Interpreter::Interpreter(LeafTable leaves) : leaves_(std::move(leaves)) { register_operators(); }

void Interpreter::set_fusion(bool fuse) {
  if (fuse != fuse_) forget();
  fuse_ = fuse;
}

c10::IValue Interpreter::call(const std::string& path, const ir::Module& module,
                              std::vector<c10::IValue> arguments) {
  if (module.is_composite()) return call_graph(path, module, std::move(arguments));
  const LeafFunction* function = leaves_.find(module.type);
  if (const auto* failed = module.attributes.find("failed")) {
    throw_user("{}: {} cannot be run: {}", path.empty() ? "the model" : path, module.type,
               std::get<std::string>(*failed));
  }
  if (function == nullptr) throw_user("{}: modules of type {} cannot be run", path, module.type);
  try {
    return (*function)(module, arguments);
  } catch (InternalError& error) {
    error.add_context(path);
    throw;
  }
}

c10::IValue Interpreter::call_graph(const std::string& path, const ir::Module& module,
                                    std::vector<c10::IValue> arguments) {
  KeptPlan& entry = plans_[&module];
  if (entry.graph != module.graph) {
    entry.graph = module.graph;
    entry.plan = std::make_shared<const ExecutionPlan>(
        ExecutionPlan::make(path, module, *module.graph, fuse_));
  }
  const std::shared_ptr<const ExecutionPlan> kept = entry.plan;  // nested calls may add plans
  std::vector<c10::IValue> values(kept->slots.size());
  size_t next = 0;
  for (const ir::Node* placeholder : module.graph->placeholders()) {
    c10::IValue& value = values[kept->slots.at(placeholder)];
    if (next < arguments.size()) {
      value = std::move(arguments[next++]);
    } else {
      check_internal(!placeholder->args.empty(), "{}: argument {} is missing", kept->where,
                     placeholder->target);
      value = placeholder_default(*placeholder);
    }
  }
  check_internal(next == arguments.size(), "{}: {} arguments are given, {} are taken", kept->where,
                 arguments.size(), next);
  run_steps(path, module, *kept, 0, kept->steps.size(), values);
  return std::move(values[kept->slots.at(module.graph->output())]);
}

void Interpreter::run_steps(const std::string& path, const ir::Module& module,
                            const ExecutionPlan& plan, size_t begin, size_t end,
                            std::vector<c10::IValue>& values) {
  for (size_t i = begin; i < end; ++i) {
    const Step& step = plan.steps[i];
    try {
      run_step(path, module, plan, step, values);
    } catch (const c10::Error& error) {
      throw_data("{}: node {} ({}): {}", plan.where, step.node->name, step.node->target,
                 error.what_without_backtrace());
    } catch (Error& error) {  // those of modules name them already
      if (step.kind != Step::Kind::kModule && error.kind() != ErrorKind::kUser)
        error.add_context(fmt::format("{}: node {}", plan.where, step.node->name));
      throw;
    }
    release(step, values);
  }
}

void Interpreter::run_step(const std::string& path, const ir::Module& module,
                           const ExecutionPlan& plan, const Step& step,
                           std::vector<c10::IValue>& values) {
  const ValueView view{plan.slots, values};
  const auto tensor = [&](const ir::Node* node) -> const at::Tensor& {
    return view.of(node).toTensor();
  };
  switch (step.kind) {
    case Step::Kind::kPlaceholder:
      return;
    case Step::Kind::kGetAttr:
      values[step.slot] = module.find_parameter(step.node->target)->tensor();
      return;
    case Step::Kind::kGetItem:
      values[step.slot] = item_of(to_value(step.node->args.at(0), view),
                                  to_value(step.node->args.at(1), view).toInt());
      return;
    case Step::Kind::kScalar:
      values[step.slot] = step.scalar(argument_values(step.node->args, view));
      return;
    case Step::Kind::kOp:
    case Step::Kind::kAttention:
      values[step.slot] = call_operator(plan, step, values);
      return;
    case Step::Kind::kModule: {
      std::vector<c10::IValue> arguments = argument_values(step.node->args, view);
      // Before the call, so that the callee can free what it alone reads from now on.
      release(step, values);
      values[step.slot] =
          call(ir::join_path(path, step.node->target), *step.callee, std::move(arguments));
      return;
    }
    case Step::Kind::kSwiGlu:
      values[step.slot] = swiglu(tensor(step.first), tensor(step.second));
      return;
    case Step::Kind::kAddRmsNorm: {
      auto [sum, normed] = add_rms_norm(
          tensor(step.first), tensor(step.second), step.callee->find_parameter("weight")->tensor(),
          step.callee->float_attribute("eps"), weight_offset_of(*step.callee));
      values[step.slot] = std::move(sum);
      values[step.second_slot] = std::move(normed);
      return;
    }
    case Step::Kind::kOutput:
      values[step.slot] = output_value(*step.node, view);
      return;
  }
}

c10::IValue Interpreter::call_operator(const ExecutionPlan& plan, const Step& step,
                                       const std::vector<c10::IValue>& values) {
  torch::jit::Stack stack = operator_arguments(step, {plan.slots, values});
  if (step.kind == Step::Kind::kAttention) {
    if (auto fused = fused_attention(stack)) return std::move(*fused);
  }
  step.op->callBoxed(stack);
  if (stack.size() == 1) return std::move(stack[0]);
  return c10::ivalue::Tuple::create(std::move(stack));
}

std::vector<std::pair<std::string, bool>> model_inputs(const ir::Module& root) {
  std::vector<std::pair<std::string, bool>> inputs;
  for (const ir::Node* node : root.graph->placeholders())
    inputs.emplace_back(node->target, node->args.empty());
  return inputs;
}

std::vector<c10::IValue> bind_inputs(const ir::Graph& graph, const NamedTensors& inputs) {
  std::vector<c10::IValue> arguments;
  for (const ir::Node* node : graph.placeholders()) {
    if (const auto found = inputs.find(node->target); found != inputs.end()) {
      arguments.emplace_back(found->second);
    } else {
      if (node->args.empty()) throw_user("the model's input \"{}\" is missing", node->target);
      arguments.push_back(placeholder_default(*node));
    }
  }
  return arguments;
}

NamedTensors name_outputs(const ir::Graph& graph, const c10::IValue& value) {
  NamedTensors outputs;
  const ir::Node& node = *graph.output();
  if (node.kwargs.empty()) {
    check_internal(value.isTensor(), "the model's value is not a tensor");
    outputs["output"] = value.toTensor();
    return outputs;
  }
  const auto& items = value.toTupleRef().elements();
  for (size_t i = 0; i < node.kwargs.size(); ++i) {
    if (items[i].isTensor()) outputs[node.kwargs[i].first] = items[i].toTensor();
  }
  return outputs;
}

NamedTensors run_model(Interpreter& interpreter, const ir::Module& root,
                       const NamedTensors& inputs) {
  check_internal(root.is_composite(), "a model without a graph cannot be run");
  return name_outputs(*root.graph, interpreter.call("", root, bind_inputs(*root.graph, inputs)));
}

}  // namespace lathe::ops
