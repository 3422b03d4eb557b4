#pragma once

#include <cstdint>
#include <string>

#include "frontends/huggingface/decoder_config.h"
#include "ir/graph.h"

namespace lathe::frontends {

/// x -> down(activation(gate(x)) * up(x)); children by these names.
ir::GraphPtr gated_mlp_graph(const std::string& gate, const std::string& up,
                             const std::string& down, const std::string& activation = "act_fn");

/// The MLP of a kind: children gate_proj, up_proj, down_proj, act_fn; gate_up_proj, down_proj,
/// activation_fn; or c_fc, act, c_proj.
ir::GraphPtr mlp_graph(MlpKind kind, int64_t size);

/// Residual layer with norms where the config has them: children self_attn, `mlp` and the norms;
/// the inputs of attention_graph.
ir::GraphPtr decoder_layer_graph(const DecoderConfig& config, const std::string& mlp);

/// (input_ids, attention_mask or None) -> hidden states after the last norm; children embed_tokens,
/// rotary_emb (and rotary_emb_local), layers.0, ..., norm.
ir::GraphPtr decoder_model_graph(const DecoderConfig& config, double embedding_multiplier);

/// The root: children model and lm_head; output "logits".
ir::GraphPtr causal_lm_graph(const DecoderConfig& config);

}  // namespace lathe::frontends
