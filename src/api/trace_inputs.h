#pragma once

#include "api/model_impl.h"
#include "trace/unit_flow.h"

namespace lathe::api {

/// Shapes of a model's inputs to trace it with: token ids for language models, pixels for vision
/// models, what the program was exported with for torch.export. Inputs that may be left out are.
trace::UnitFlow::Inputs trace_inputs(const Model::Impl& model);

}  // namespace lathe::api
