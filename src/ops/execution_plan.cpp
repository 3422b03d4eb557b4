#include "ops/execution_plan.h"

#include <unordered_set>

#include "base/error.h"
#include "ir/verify.h"

namespace lathe::ops {
namespace {

using ir::Node;
using ir::NodeKind;

constexpr std::string_view kAdd = "aten::add.Tensor";
constexpr std::string_view kMul = "aten::mul.Tensor";
constexpr std::string_view kAttention = "aten::scaled_dot_product_attention";
constexpr std::string_view kGetItem = "builtin::getitem";

c10::OperatorHandle find_operator(const std::string& where, const Node& node) {
  const size_t colons = node.target.find("::");
  const size_t dot =
      colons == std::string::npos ? std::string::npos : node.target.find('.', colons);
  const std::string name = node.target.substr(0, dot);
  const std::string overload = dot == std::string::npos ? "" : node.target.substr(dot + 1);
  auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!handle)
    throw_user("{}: node {}: this LibTorch has no operator {}", where, node.name, node.target);
  return *handle;
}

/// Binary operators on two values and nothing else (no alpha).
bool is_binary(const Node& node, std::string_view target) {
  return node.kind == NodeKind::kCallOp && node.target == target && node.args.size() == 2 &&
         node.kwargs.empty() && node.args[0].node() != nullptr && node.args[1].node() != nullptr;
}

class Planner {
 public:
  Planner(const std::string& path, const ir::Module& module, const ir::Graph& graph, bool fuse)
      : module_(module), graph_(graph), fuse_(fuse) {
    ir::verify(path, module, graph);
    plan_.where = path.empty() ? module.type : path;
    for (const auto& node : graph.nodes()) {
      const size_t slot = plan_.slots.size();
      plan_.slots[node.get()] = slot;
      node->for_each_input([&](const Node* input) { readers_[input].push_back(node.get()); });
    }
    if (fuse) find_fusions();
  }

  ExecutionPlan make() && {
    for (const auto& node : graph_.nodes()) {
      if (!absorbed_.contains(node.get())) plan_.steps.push_back(step_for(*node));
    }
    find_releases();
    return std::move(plan_);
  }

 private:
  bool is_leaf_call(const Node* node, std::string_view type) const {
    if (node->kind != NodeKind::kCallModule || node->args.size() != 1) return false;
    const ir::Module& callee = module_.at(node->target);
    return callee.type == type && !callee.is_composite() && node->args[0].node() != nullptr;
  }

  void find_fusions() {
    for (const auto& node : graph_.nodes()) {
      if (is_binary(*node, kMul)) fuse_swiglu(*node);
      if (is_binary(*node, kAdd)) fuse_add_rms_norm(*node);
    }
  }

  void fuse_swiglu(const Node& product) {
    for (size_t side : {0u, 1u}) {
      const Node* silu = product.args[side].node();
      if (!is_leaf_call(silu, "SiLU") || readers_[silu].size() != 1) continue;
      const Node* other = product.args[1 - side].node();
      fused_[&product] = {Step::Kind::kSwiGlu, silu->args[0].node(), other, nullptr};
      absorbed_.insert(silu);
      return;
    }
  }

  void fuse_add_rms_norm(const Node& sum) {
    for (const Node* reader : readers_[&sum]) {
      if (!is_leaf_call(reader, "RMSNorm")) continue;
      fused_[&sum] = {Step::Kind::kAddRmsNorm, sum.args[0].node(), sum.args[1].node(), reader};
      absorbed_.insert(reader);
      return;
    }
  }

  Step step_for(const Node& node) {
    const size_t slot = plan_.slots.at(&node);
    Step step{.kind = Step::Kind::kOutput, .node = &node, .slot = slot, .second_slot = slot};
    if (const auto fusion = fused_.find(&node); fusion != fused_.end()) {
      step.kind = fusion->second.kind;
      step.first = fusion->second.first;
      step.second = fusion->second.second;
      if (const Node* norm = fusion->second.norm) {
        step.norm = norm;
        step.callee = &module_.at(norm->target);
        step.second_slot = plan_.slots.at(norm);
      }
      return step;
    }
    switch (node.kind) {
      case NodeKind::kPlaceholder:
        step.kind = Step::Kind::kPlaceholder;
        break;
      case NodeKind::kGetAttr:
        step.kind = Step::Kind::kGetAttr;
        break;
      case NodeKind::kCallOp:
        step.kind = node.target == kGetItem              ? Step::Kind::kGetItem
                    : fuse_ && node.target == kAttention ? Step::Kind::kAttention
                                                         : Step::Kind::kOp;
        step.scalar = find_scalar_function(node.target);
        if (step.scalar != nullptr) {
          step.kind = Step::Kind::kScalar;
        } else if (step.kind != Step::Kind::kGetItem) {
          step.op = find_operator(plan_.where, node);
        } else {
          check_internal(node.args.size() == 2 && node.kwargs.empty(),
                         "{}: node {}: {} takes a value and an index", plan_.where, node.name,
                         kGetItem);
        }
        break;
      case NodeKind::kCallModule:
        step.kind = Step::Kind::kModule;
        step.callee = &module_.at(node.target);
        break;
      case NodeKind::kOutput:
        break;
    }
    return step;
  }

  /// Walks backwards: the first step met that reads a slot is its last reader.
  void find_releases() {
    std::unordered_set<size_t> needed;
    for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step) {
      const auto release = [&](const Node* input) {
        const size_t slot = plan_.slots.at(input);
        if (needed.insert(slot).second) step->released.push_back(slot);
      };
      // A value that nobody reads is dropped at once.
      for (const size_t written : {step->slot, step->second_slot}) {
        if (step->kind != Step::Kind::kOutput && needed.insert(written).second)
          step->released.push_back(written);
      }
      if (step->first != nullptr) {
        release(step->first);
        release(step->second);
      } else {
        step->node->for_each_input(release);
      }
    }
  }

  struct Fusion {
    Step::Kind kind;
    const Node* first;
    const Node* second;
    const Node* norm;
  };

  const ir::Module& module_;
  const ir::Graph& graph_;
  bool fuse_;
  ExecutionPlan plan_;
  std::unordered_map<const Node*, std::vector<const Node*>> readers_;
  std::unordered_map<const Node*, Fusion> fused_;
  std::unordered_set<const Node*> absorbed_;
};

}  // namespace

ExecutionPlan ExecutionPlan::make(const std::string& path, const ir::Module& module,
                                  const ir::Graph& graph, bool fuse) {
  return Planner(path, module, graph, fuse).make();
}

}  // namespace lathe::ops
