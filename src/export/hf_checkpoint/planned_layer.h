#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "export/hf_checkpoint/fused_experts.h"
#include "export/hf_checkpoint/layer_storage.h"
#include "export/hf_checkpoint/scheme.h"

namespace lathe::exporting {

/// A quantized weight [N, K] and how it is stored.
struct PlannedLayer {
  LayerScheme scheme;
  LayerStorage storage;
  int64_t rows = 0;  // N
  int64_t cols = 0;  // K
  /// Of a linear that the model's own checkpoint fuses; else null.
  std::shared_ptr<const FusedPlace> place = nullptr;

  bool is_fused() const { return place && place->is_fused(); }
  /// The tensors that hold it, in the order of the parts: those of all experts if it is fused.
  std::vector<io::TensorSpec> tensors() const;
  /// The tensor that holds the codes: "model.layers.0.mlp.up_proj.weight_packed".
  std::string weight_name() const { return tensors().front().name; }
};

/// The path of the layer whose weight has this name, "" if it is no weight's.
constexpr std::string_view layer_of_weight(std::string_view parameter) {
  constexpr std::string_view kWeight = ".weight";
  if (!parameter.ends_with(kWeight)) return {};
  return parameter.substr(0, parameter.size() - kWeight.size());
}

/// The scales and biases of one attention's KV cache, and the tensors that hold them.
struct PlannedCache {
  KvScheme scheme;
  io::TensorSpec key;  // these two only if the scheme has scales
  io::TensorSpec value;
  io::TensorSpec key_bias = {};  // these two only if the scheme is affine
  io::TensorSpec value_bias = {};

  /// Those that there are.
  std::vector<io::TensorSpec> tensors() const;
};

}  // namespace lathe::exporting
