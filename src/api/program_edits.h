#pragma once

#include <string>
#include <vector>

#include "api/model_impl.h"
#include "export/torch_export/quantized_program.h"

namespace lathe::api {

/// Whether PT2E can say what each enabled quantizer does: one line for each that it cannot, with
/// the formats that it can.
std::vector<std::string> program_format_problems(const quantization::Conversion& conversion);

/// What a model's quantizers and folded batch norms change in its program. Before calibration
/// schemes have no scales. Codes and values are computed when they are written, and the model must
/// outlive that.
exporting::ProgramEdits program_edits(const Model::Impl& model);

/// A quantizer's format and scales as the affine scheme; a weight's has its axis or its groups.
exporting::QdqScheme qdq_scheme(const quantization::TensorQuantizer& quantizer, bool is_weight);

}  // namespace lathe::api
