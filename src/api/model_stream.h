#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "api/folded_weights.h"
#include "api/model_impl.h"
#include "ops/staged_run.h"

namespace lathe::api {

/// One model on many batches, stage by stage (see ops::StagedRun), with one stage's weights in
/// memory.
class ModelStream {
 public:
  ModelStream(Model::Impl& model, std::vector<ops::NamedTensors> batches);

  const std::vector<ops::StagedRun::Stage>& stages() const { return run_.stages(); }
  size_t batch_count() const { return run_.batch_count(); }

  /// Takes all batches through a stage; `after_batch` is called after each.
  void run_stage(size_t index, const std::function<void()>& after_batch);

  /// Replaces the quantized weights of a stage by their fake-quantized values for as long as the
  /// result lives. Null if the model has no quantizers.
  std::unique_ptr<FoldedWeights> fold_stage(size_t index);

  /// Takes one batch through the last stage and gives the model's outputs.
  ops::NamedTensors run_last(size_t batch);

  /// Forgets the weights of a stage; they can be read again.
  void release_stage(size_t index);

 private:
  Model::Impl& model_;
  ops::StagedRun run_;
};

}  // namespace lathe::api
