#pragma once

#include "api/model_stream.h"
#include "base/progress.h"
#include "lathe/evaluate.h"

namespace lathe::api {

/// The evaluation of a language model, stage by stage, with quantized weights as they ship.
class EvaluationStream {
 public:
  /// UserError if the model cannot be run.
  EvaluationStream(Model::Impl& model, const TokenBlocks& data);

  size_t stage_count() const { return stream_.stages().size(); }
  /// Units that advance `progress` in all: tokens, once a stage.
  int64_t work() const;

  /// Every stage but the last, in order.
  void run_stage(size_t index, Progress& progress);

  /// The last stage of both models (the reference may be null), batch by batch.
  Evaluation finish(EvaluationStream* reference, Progress& progress);

 private:
  Model::Impl& model_;
  int64_t tokens_;
  std::vector<at::Tensor> ids_;  // of each batch
  ModelStream stream_;
};

}  // namespace lathe::api
