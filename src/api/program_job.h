#pragma once

#include <optional>
#include <vector>

#include "api/job_draft.h"
#include "export/torch_export/quantized_program.h"

namespace lathe::api {

/// A job that writes a torch.export program, made ready: the model with its quantizers, the
/// calibration data, the source. What stands in the way is in summary.problems.
struct ProgramJob {
  Model model;
  QuantizePlan summary;
  std::vector<NamedTensors> batches;
  std::optional<exporting::QuantizedProgram> source;
};

/// Folds, converts, reads the calibration data, asks the writer: all problems at once.
ProgramJob prepare_program_job(JobDraft draft);

/// Calibrates and writes a job without problems. The report lacks what every job's has: plan, time,
/// memory.
QuantizeReport run_program_job(const QuantizeJob& job, ProgramJob& prepared);

/// What stands against writing a program to `output`: its name, what is there, the disk.
std::vector<std::string> program_output_problems(const std::string& output,
                                                 const std::string& source, bool force,
                                                 size_t planned_bytes);

/// Writes a calibrated model's program and the state of its quantizers beside it.
ExportReport write_program(const Model::Impl& model, const exporting::QuantizedProgram& source,
                           const std::string& output);

}  // namespace lathe::api
