#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "frontends/huggingface/decoder_config.h"
#include "ir/graph.h"

namespace lathe::frontends {

/// cos and sin of the rotated elements, [B or 1, T, rotary_size].
struct RotaryInputs {
  ir::Node* cos;
  ir::Node* sin;
};

/// x [B, H, T, D], of whose last dimension the first rotary_size elements are rotated.
ir::Node* rotate(ir::GraphBuilder& graph, ir::Node* x, const RotaryInputs& rotary,
                 int64_t rotary_size, int64_t head_dim);

/// [B, T, H * D] to [B, H, T, D].
ir::Node* split_heads(ir::GraphBuilder& graph, ir::Node* x, int64_t head_dim);

/// [B, H, T, D] to [B, T, H * D].
ir::Node* merge_heads(ir::GraphBuilder& graph, ir::Node* x);

/// x from `begin` to `end` along the last dimension.
ir::Node* slice_last(ir::GraphBuilder& graph, ir::Node* x, int64_t begin, int64_t end);

/// Attention without rotary positions: the children that make q, k and v and the value.
struct PlainAttention {
  const char* query = "q_proj";
  const char* key = "k_proj";
  const char* value = "v_proj";
  const char* output = "out_proj";  // null: the heads' values as they are
  int64_t head_dim = 0;
  double scale = 1.0;
  bool causal = false;
};

/// Attention of x over `source` (x itself, or an encoder's states); `mask` [B, Ts] and `bias` [1,
/// H, T, Ts] may be null.
ir::Node* plain_attention(ir::GraphBuilder& graph, const PlainAttention& attention, ir::Node* x,
                          ir::Node* source, ir::Node* mask, ir::Node* bias = nullptr);

/// (hidden_states [B, T, K], cos, sin, attention_mask [B, T] or None) -> [B, T, K]; children
/// q_proj, k_proj, v_proj (or qkv_proj), o_proj and, with norms, q_norm and k_norm.
ir::GraphPtr attention_graph(const AttentionConfig& config, int64_t rotary_size,
                             std::optional<int64_t> window);

/// The same of latent attention; children q_a_proj, q_a_layernorm, q_b_proj (or q_proj),
/// kv_a_proj_with_mqa, kv_a_layernorm, kv_b_proj, o_proj.
ir::GraphPtr latent_attention_graph(const LatentAttentionConfig& config);

}  // namespace lathe::frontends
