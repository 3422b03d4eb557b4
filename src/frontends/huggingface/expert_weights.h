#pragma once

#include <string>

#include "frontends/huggingface/decoder_config.h"
#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Brings the tensors of one layer's experts, at `path` ("model.layers.0.mlp.experts"), to the
/// layout of one Linear an expert ("PATH.3.gate_proj.weight"), if they are fused:
///   gate_up_proj [E, 2 N, K] and down_proj [E, K, N], rows of gate first;
///   of gpt-oss: gate_up_proj [E, K, 2 N] and down_proj [E, N, K] with _bias (packed ones were
///   split before: see mxfp4_experts.h).
/// DataError that names the tensor if its shape does not fit the config.
void split_fused_experts(const std::string& path, const ExpertsConfig& experts, int64_t hidden_size,
                         TensorStore& store);

/// NAME of all experts below `path`, held in one tensor "PATH.NAME".
ir::FusedLinears fused_linears(const std::string& path, const std::string& name, int64_t count);

/// The same for tensors of a layout that their shapes alone tell: gate_up_proj [E, K, 2 N] and
/// down_proj [E, N, K] at `path`, biases beside them. Gate and up stay one Linear an expert.
void split_transposed_experts(const std::string& path, TensorStore& store);

}  // namespace lathe::frontends
