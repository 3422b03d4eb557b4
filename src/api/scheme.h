#pragma once

#include <string>

#include "api/model_impl.h"
#include "export/hf_checkpoint/checkpoint_exporter.h"

namespace lathe::api {

/// What the model's quantizers come to in a checkpoint. Quantizers that no checkpoint can hold
/// (outputs, queries, inputs alone) are appended to `problems`.
exporting::QuantizationScheme make_scheme(const Model::Impl& model,
                                          std::vector<std::string>& problems);

/// The final scales of one layer, for packing.
exporting::LayerValues layer_values(const quantization::QuantizedLayer& layer);
exporting::KvValues kv_values(const quantization::QuantizedAttention& attention);

}  // namespace lathe::api
