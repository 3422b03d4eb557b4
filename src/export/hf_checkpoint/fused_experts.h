#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "export/hf_checkpoint/layer_storage.h"
#include "io/checkpoint_layout.h"
#include "ir/model.h"

namespace lathe::exporting {

struct PlannedLayer;

/// How a dialect stores quantized linears that the model's own checkpoint holds in one tensor
/// (ir::FusedLinears).
enum class ExpertLayout : uint8_t {
  kApart,       // each by itself: "experts.3.gate_up_proj.weight"
  kTransposed,  // "experts.gate_up_proj" [E, K, N], "experts.gate_up_proj_weight_scale": matrices
                // transposed; what is one number, and then the same for all experts, once
  kBlocks,      // "experts.gate_up_proj_blocks" [E, N, K / 32, 16], "..._scales" [E, N, K / 32]
};

/// The place of one linear among those that lie in one tensor.
struct FusedPlace {
  std::string path;  // "model.layers.0.mlp.experts.gate_up_proj"
  int64_t expert = 0;
  int64_t experts = 1;
  bool has_bias = false;
  ExpertLayout layout = ExpertLayout::kApart;

  bool is_fused() const { return layout != ExpertLayout::kApart; }
  /// "model.layers.0.mlp.experts"
  std::string module() const { return path.substr(0, path.rfind('.')); }
};

/// Whether all experts have one such number between them.
bool is_shared(const StoredPart& part);

/// The tensor of all experts, from that of one of them.
io::TensorSpec fused_tensor(const FusedPlace& place, const StoredPart& part, io::TensorSpec one);

/// Floating-point parameters that are written as one tensor.
struct FusedTensor {
  io::TensorSpec tensor;
  std::string module;                   // that it belongs to
  std::vector<std::string> parameters;  // of the model, by expert; matrices lie transposed
};

/// The places of all linears of the model that have one, by path.
std::unordered_map<std::string, FusedPlace> fused_places(const ir::Model& model,
                                                         ExpertLayout layout);

/// The weights and biases that are written as the model's own checkpoint has them: weights of which
/// none is quantized, and biases beside weights that lie in one tensor.
std::vector<FusedTensor> plan_fused_tensors(const ir::Model& model,
                                            const std::vector<PlannedLayer>& layers);

/// Linears of one tensor that are not all quantized, or not all in the same way, where they would
/// be written as one.
std::vector<std::string> fused_problems(const ir::Model& model,
                                        const std::vector<PlannedLayer>& layers);

}  // namespace lathe::exporting
