#pragma once

#include <optional>

#include "api/calibration_data.h"
#include "api/job_draft.h"
#include "export/hf_checkpoint/checkpoint_exporter.h"

namespace lathe::api {

/// A job that writes a checkpoint, made ready: the model with its quantizers, the calibration
/// data, the checkpoint's plan. What stands in the way is in summary.problems.
struct CheckpointJob {
  Model model;
  QuantizePlan summary;
  std::optional<CalibrationData> calibration;
  std::optional<TokenBlocks> evaluation;
  std::optional<exporting::CheckpointPlan> checkpoint;  // if nothing stands in its way
};

/// Converts the model, reads the calibration data, plans the checkpoint: all problems at once.
CheckpointJob prepare_checkpoint_job(JobDraft draft);

/// Calibrates and writes a job without problems, unit by unit. The report lacks what every job's
/// has: plan, time, memory.
QuantizeReport run_checkpoint_job(const QuantizeJob& job, CheckpointJob& prepared);

}  // namespace lathe::api
