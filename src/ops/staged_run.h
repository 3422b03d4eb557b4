#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/activation_store.h"
#include "ops/interpreter.h"

namespace lathe::ops {

/// The root's graph with every composite that holds blocks inlined, so that blocks are called from
/// one flat graph by their full paths. Composites without blocks stay as they are.
ir::GraphPtr flatten_to_blocks(const ir::Module& root);

/// Runs a model on many batches breadth-first: all batches go through one stage before the next
/// begins, so that only one block's weights need to be in memory. A stage is a block, or the nodes
/// between two blocks.
class StagedRun {
 public:
  /// The values that batches keep between stages are spilled to a mapped file beyond
  /// `activation_budget` bytes.
  StagedRun(Interpreter& interpreter, const ir::Module& root, std::vector<NamedTensors> batches,
            size_t activation_budget);

  struct Stage {
    std::string name;   // the block's path; "inputs", "outputs", ... for the nodes between
    std::string path;   // of the block; "" otherwise
    size_t begin, end;  // steps of the plan
    /// Paths of the modules that the stage calls, and of those below them that have parameters;
    /// of a block its own path alone.
    std::vector<std::string> modules;
  };
  const std::vector<Stage>& stages() const { return stages_; }
  size_t batch_count() const { return values_.size(); }

  /// Takes one batch through stage `index`, which must be the one after the last that it went
  /// through. With `keep` the batch's values stay as they were, so that the stage can be run once
  /// more.
  void run(size_t index, size_t batch, bool keep = false);

  /// The model's outputs for a batch that has gone through all stages; they are given away.
  NamedTensors take_outputs(size_t batch);

 private:
  void find_stages();

  Interpreter& interpreter_;
  const ir::Module& root_;
  ir::GraphPtr graph_;
  ExecutionPlan plan_;
  std::vector<Stage> stages_;
  ActivationStore store_;
  std::vector<std::vector<c10::IValue>> values_;  // of each batch, by slot
};

}  // namespace lathe::ops
