#pragma once

#include <cstdint>
#include <optional>

#include "ir/graph.h"

namespace lathe::frontends {

struct AttentionGraphOptions {
  int64_t head_dim;
  bool qk_norm = false;
  std::optional<int64_t> sliding_window;
};

/// (hidden_states [B, T, K], cos, sin [B or 1, T, head_dim], attention_mask [B, T] or None) -> [B,
/// T, K]; children q_proj, k_proj, v_proj, o_proj and, with qk_norm, q_norm and k_norm.
ir::GraphPtr attention_graph(const AttentionGraphOptions& options);

/// down_proj(act_fn(gate_proj(x)) * up_proj(x))
ir::GraphPtr gated_mlp_graph();

/// Pre-norm residual layer: children input_layernorm, self_attn, post_attention_layernorm, mlp; the
/// inputs of attention_graph.
ir::GraphPtr decoder_layer_graph();

/// (input_ids, attention_mask or None) -> hidden states after the last norm; children embed_tokens,
/// rotary_emb, layers.0, ..., norm.
ir::GraphPtr decoder_model_graph(int64_t num_layers);

/// The root: children model and lm_head; output "logits".
ir::GraphPtr causal_lm_graph();

}  // namespace lathe::frontends
