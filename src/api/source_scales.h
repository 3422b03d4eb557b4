#pragma once

#include <cstdint>

#include "api/model_impl.h"

namespace lathe::api {

/// The weights of a quantized source in a job.
struct SourceWeights {
  int64_t kept = 0;     // codes and scales stay what they are
  int64_t decoded = 0;  // dequantized
};

/// Where the format that a layer of a dequantized model (OpenOptions::dequantize) gets is the one
/// that it has on file, the scales on file are kept, so that packing gives the same codes again.
/// Layers that share scales are kept together or not at all. Static scales of inputs are kept if
/// every input that needs one has one, so that there is nothing to calibrate.
SourceWeights keep_source_scales(Model::Impl& model);

/// Multiplies the weights of such a model by the pre_quant_scale that their inputs would have been
/// multiplied by.
void fold_pre_quant_scales(Model::Impl& model);

}  // namespace lathe::api
