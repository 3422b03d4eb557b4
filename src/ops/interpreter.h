#pragma once

#include <ATen/core/ivalue.h>

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/module.h"
#include "ops/execution_plan.h"
#include "ops/leaf_table.h"

namespace lathe::ops {

/// Named tensors: what a model takes and gives.
using NamedTensors = std::map<std::string, at::Tensor>;

/// Runs modules: leaves by the leaf table, composites node by node through the dispatcher. Values
/// are freed after their last reader. Errors of operators become DataErrors that name module and
/// node. Plans are kept by module; forget() after a graph was rewritten. One interpreter belongs to
/// one thread.
class Interpreter {
 public:
  explicit Interpreter(LeafTable leaves = LeafTable::builtin());

  /// Runs a module on positional arguments. Missing trailing arguments of a graph take its
  /// placeholders' defaults.
  c10::IValue call(const std::string& path, const ir::Module& module,
                   std::vector<c10::IValue> arguments);

  /// Runs the steps [begin, end) of a plan on `values`, one slot a node: a piece of a graph.
  void run_steps(const std::string& path, const ir::Module& module, const ExecutionPlan& plan,
                 size_t begin, size_t end, std::vector<c10::IValue>& values);

  /// Fusions are left out when values that need gradients may flow.
  void set_fusion(bool fuse);
  bool fusion() const { return fuse_; }
  void forget() { plans_.clear(); }

 private:
  c10::IValue call_graph(const std::string& path, const ir::Module& module,
                         std::vector<c10::IValue> arguments);
  void run_step(const std::string& path, const ir::Module& module, const ExecutionPlan& plan,
                const Step& step, std::vector<c10::IValue>& values);
  c10::IValue call_operator(const ExecutionPlan& plan, const Step& step,
                            const std::vector<c10::IValue>& values);

  LeafTable leaves_;
  bool fuse_ = true;
  /// A plan holds for the graph that it was made from, which it keeps alive.
  struct KeptPlan {
    ir::GraphPtr graph;
    std::shared_ptr<const ExecutionPlan> plan;
  };
  std::unordered_map<const ir::Module*, KeptPlan> plans_;
};

/// Runs a whole model on named inputs; the outputs by name ("output" if the graph names none). An
/// input that the model does not take is left out: see model_inputs. UserError if a required input
/// is missing.
NamedTensors run_model(Interpreter& interpreter, const ir::Module& root,
                       const NamedTensors& inputs);

/// The inputs of a model, and whether each is required.
std::vector<std::pair<std::string, bool>> model_inputs(const ir::Module& root);

/// Named inputs in the order of the graph's placeholders, with defaults. UserError if a required
/// one is missing.
std::vector<c10::IValue> bind_inputs(const ir::Graph& graph, const NamedTensors& inputs);

/// The outputs of a model's value: of a graph with named outputs, or one called "output".
NamedTensors name_outputs(const ir::Graph& graph, const c10::IValue& value);

}  // namespace lathe::ops
