#pragma once

#include <string>

#include "api/model_impl.h"
#include "export/hf_checkpoint/checkpoint_exporter.h"

namespace lathe::api {

/// What the model's quantizers come to in a checkpoint. Quantizers that no checkpoint can hold
/// (outputs, rotations, inputs alone) are appended to `problems`. Those of queries and
/// probabilities are left out: see scheme_warnings.
exporting::QuantizationScheme make_scheme(const Model::Impl& model,
                                          std::vector<std::string>& problems);

/// What a user should know of a checkpoint that can be written: quantizers of attention that are
/// the engine's own to do, quant_algos that only Lathe reads.
std::vector<std::string> scheme_warnings(const Model::Impl& model,
                                         const exporting::CheckpointPlan& plan);

/// How a checkpoint holds the cache of an attention whose keys and values are quantized.
exporting::KvScheme kv_scheme(const Model::Impl& model,
                              const quantization::QuantizedAttention& attention);

/// "model.layers.0.self_attn.k_proj": where readers look for the scale of the keys, whatever makes
/// them (a fused qkv_proj).
std::string key_cache_path(const quantization::QuantizedAttention& attention);

/// The final scales of one layer, for packing.
exporting::LayerValues layer_values(const quantization::QuantizedLayer& layer);
exporting::KvValues kv_values(const quantization::QuantizedAttention& attention);

}  // namespace lathe::api
