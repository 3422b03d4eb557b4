#pragma once

#include <string>
#include <vector>

#include "api/model_impl.h"
#include "lathe/error.h"
#include "lathe/quantize.h"
#include "quantization/calib/max_calibration.h"

namespace lathe::api {

/// UserError if the model has quantizers already.
void refuse_quantized(const Model::Impl& model);

/// Puts quantizers into the model as the config says. What stands in the way is appended to
/// `problems`; the model is changed all the same, so that all problems are found.
void prepare(Model::Impl& model, const QuantizeConfig& config, const QuantizeOptions& options,
             std::vector<std::string>& problems);

/// An error of this kind that lists the problems, if there are any.
void refuse_problems(const std::vector<std::string>& problems, ErrorKind kind = ErrorKind::kUser);

/// The whole model as one calibration.
quantization::MaxCalibration whole_calibration(const quantization::Conversion& conversion);

/// Why calibrate() cannot do what the algorithm asks for with these quantizers; "" if it can.
std::string algorithm_problem(std::string_view algorithm,
                              const quantization::Conversion& conversion);

}  // namespace lathe::api
