#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "frontends/tensor_store.h"

namespace lathe::frontends {

/// Where the packed weight of one expert's linear comes from.
struct PackedExpert {
  std::string module;                // "model.layers.0.mlp.experts"
  std::vector<std::string> tensors;  // of all experts, that of the codes first
};

/// By the path of the linear: "model.layers.0.mlp.experts.3.gate_up_proj".
using PackedExperts = std::unordered_map<std::string, PackedExpert>;

/// Cuts tensors that hold the packed weights of all experts, "PATH.NAME" [E, K, N] with
/// "PATH.NAME_weight_scale", "_weight_scale_2", "_input_scale" and "_pre_quant_scale", into those
/// of one Linear an expert, "PATH.E.NAME.weight", matrices transposed, as if each had its own. What
/// is one number counts for all experts. Adds to `problems` tensors that do not fit each other.
PackedExperts split_packed_experts(TensorStore& store, std::vector<std::string>& problems);

}  // namespace lathe::frontends
