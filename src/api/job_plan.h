#pragma once

#include <optional>

#include "api/model_impl.h"
#include "export/hf_checkpoint/checkpoint_exporter.h"
#include "lathe/job.h"

namespace lathe::api {

/// A job, made ready: the model with its quantizers, the calibration tokens, the checkpoint's plan.
/// What stands in the way is in summary.problems.
struct PreparedJob {
  Model model;
  QuantizePlan summary;
  std::optional<TokenBlocks> calibration;
  std::optional<TokenBlocks> evaluation;
  std::optional<exporting::CheckpointPlan> checkpoint;  // if nothing stands in its way
};

/// Opens and converts the model, reads the calibration data, plans the checkpoint: all problems at
/// once.
PreparedJob prepare_job(const QuantizeJob& job);

}  // namespace lathe::api
