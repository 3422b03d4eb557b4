#include "ops/staged_run.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"

namespace lathe::ops {
namespace {

using ir::Argument;
using ir::Node;
using ir::NodeKind;

bool holds_block(const ir::Module& module) {
  return std::any_of(module.children.begin(), module.children.end(), [](const auto& child) {
    return child.second->is_block || holds_block(*child.second);
  });
}

/// The paths of a called module and of those below it that have parameters of their own.
void add_paths(const std::string& path, const ir::Module& module, std::vector<std::string>& paths) {
  paths.push_back(path);
  for (const auto& [below, child] : ir::named_modules(module)) {
    if (!below.empty() && !child->parameters.empty()) paths.push_back(ir::join_path(path, below));
  }
}

/// Copies graphs into one, composites that hold blocks in place of their calls.
class Flattener {
 public:
  ir::GraphPtr flatten(const ir::Module& root) {
    Scope scope;
    for (const auto& node : root.graph->nodes()) copy_into(scope, root, "", *node);
    return std::make_shared<const ir::Graph>(std::move(flat_));
  }

 private:
  using Scope = std::unordered_map<const Node*, Argument>;

  static Argument translate(const Scope& scope, const Argument& argument) {
    if (const Node* node = argument.node()) return scope.at(node);
    if (const auto* list = std::get_if<Argument::List>(&argument.value())) {
      Argument::List items;
      for (const Argument& item : *list) items.push_back(translate(scope, item));
      return items;
    }
    return argument;
  }

  void copy_into(Scope& scope, const ir::Module& module, const std::string& path,
                 const Node& node) {
    const ir::Module* callee =
        node.kind == NodeKind::kCallModule ? &module.at(node.target) : nullptr;
    if (callee != nullptr && callee->is_composite() && !callee->is_block && holds_block(*callee)) {
      scope[&node] = inline_call(scope, *callee, ir::join_path(path, node.target), node);
      return;
    }
    Node copy{node.kind, node.name, node.target, {}, {}};
    const bool has_path = node.kind == NodeKind::kCallModule || node.kind == NodeKind::kGetAttr;
    if (has_path) copy.target = ir::join_path(path, node.target);
    for (const Argument& argument : node.args) copy.args.push_back(translate(scope, argument));
    for (const auto& [name, argument] : node.kwargs)
      copy.kwargs.emplace_back(name, translate(scope, argument));
    scope[&node] = flat_.append(std::move(copy));
  }

  /// The value of the callee's output, once its nodes are copied.
  Argument inline_call(const Scope& outer, const ir::Module& callee, const std::string& path,
                       const Node& call) {
    Scope scope;
    size_t next = 0;
    for (const auto& node : callee.graph->nodes()) {
      if (node->kind == NodeKind::kPlaceholder) {
        const bool given = next < call.args.size();
        check_internal(given || !node->args.empty(), "{}: argument {} is missing", path,
                       node->target);
        scope[node.get()] = given ? translate(outer, call.args[next++]) : node->args[0];
      } else if (node->kind == NodeKind::kOutput) {
        check_internal(node->kwargs.empty(), "{}: only the model itself may have named outputs",
                       path);
        check_internal(next == call.args.size(), "{}: {} arguments are given, {} are taken", path,
                       call.args.size(), next);
        return translate(scope, node->args.at(0));
      } else {
        copy_into(scope, callee, path, *node);
      }
    }
    throw_internal("{}: the graph has no output", path);
  }

  ir::Graph flat_;
};

}  // namespace

ir::GraphPtr flatten_to_blocks(const ir::Module& root) { return Flattener().flatten(root); }

StagedRun::StagedRun(Interpreter& interpreter, const ir::Module& root,
                     std::vector<NamedTensors> batches, size_t activation_budget)
    : interpreter_(interpreter),
      root_(root),
      graph_(flatten_to_blocks(root)),
      plan_(ExecutionPlan::make("", root, *graph_, interpreter.fusion())),
      store_(activation_budget) {
  find_stages();
  const std::vector<const Node*> placeholders = graph_->placeholders();
  for (const NamedTensors& batch : batches) {
    std::vector<c10::IValue> arguments = bind_inputs(*graph_, batch);
    std::vector<c10::IValue>& values = values_.emplace_back(plan_.slots.size());
    for (size_t i = 0; i < placeholders.size(); ++i)
      values[plan_.slots.at(placeholders[i])] = std::move(arguments[i]);
  }
}

void StagedRun::find_stages() {
  const auto block_of = [&](const Step& step) {
    return step.kind == Step::Kind::kModule && step.callee->is_block ? step.node->target
                                                                     : std::string();
  };
  int between = 0;
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const Step& step = plan_.steps[i];
    const std::string block = block_of(step);
    if (!block.empty()) {
      stages_.push_back({block, block, i, i + 1, {block}});
      continue;
    }
    if (stages_.empty() || !stages_.back().path.empty()) {
      stages_.push_back({fmt::format("stage {}", between++), "", i, i, {}});
    }
    Stage& stage = stages_.back();
    stage.end = i + 1;
    if (step.kind == Step::Kind::kModule) add_paths(step.node->target, *step.callee, stage.modules);
    if (step.norm != nullptr) stage.modules.push_back(step.norm->target);
  }
  if (stages_.front().path.empty()) stages_.front().name = "inputs";
  if (stages_.back().path.empty() && stages_.size() > 1) stages_.back().name = "outputs";
}

void StagedRun::run(size_t index, size_t batch, bool keep) {
  const Stage& stage = stages_.at(index);
  std::vector<c10::IValue>& values = values_.at(batch);
  std::vector<c10::IValue> before = keep ? values : std::vector<c10::IValue>();
  interpreter_.run_steps("", root_, plan_, stage.begin, stage.end, values);
  if (keep) {
    values = std::move(before);
    return;
  }
  const bool last = index + 1 == stages_.size();
  for (size_t i = stage.begin; i < stage.end && !last; ++i) {
    const Step& step = plan_.steps[i];
    for (const size_t slot : {step.slot, step.second_slot}) {
      if (values[slot].isTensor()) values[slot] = store_.keep(values[slot].toTensor());
    }
  }
}

NamedTensors StagedRun::take_outputs(size_t batch) {
  const c10::IValue value = std::move(values_.at(batch).at(plan_.slots.at(graph_->output())));
  values_[batch].clear();
  return name_outputs(*graph_, value);
}

}  // namespace lathe::ops
