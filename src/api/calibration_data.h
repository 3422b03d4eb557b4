#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lathe/job.h"
#include "ops/interpreter.h"

namespace lathe::api {

/// What a model is calibrated with: batches of its inputs by name, of a text or of a file's
/// tensors.
struct CalibrationData {
  std::vector<ops::NamedTensors> batches;
  int64_t samples = 0;
  int64_t tokens = 0;  // of all samples; of images and sounds an estimate
  bool is_text = false;
  uint64_t hash = 0;  // of all values, in order
};

/// Reads what the job's --calib names. Errors: see load_tokens and load_batches; what is left out
/// goes to `warnings`.
CalibrationData load_calibration(const QuantizeJob& job, const Model& model,
                                 std::vector<std::string>& warnings);

}  // namespace lathe::api
