#include "frontends/huggingface/decoder_graphs.h"

#include <cmath>

#include "base/error.h"

namespace lathe::frontends {
namespace {

using ir::Argument;
using ir::GraphBuilder;
using ir::Node;

struct RotaryInputs {
  Node* cos;
  Node* sin;
};

/// [B, T, H * D] to [B, H, T, D], each head normed before it is moved.
Node* split_heads(GraphBuilder& graph, Node* x, int64_t head_dim, const char* norm) {
  Node* heads = graph.call_op("aten::unflatten.int", {x, -1, Argument::List{-1, head_dim}});
  if (norm != nullptr) heads = graph.call_module(norm, {heads});
  return graph.call_op("aten::transpose.int", {heads, 1, 2});
}

Node* rotate(GraphBuilder& graph, Node* x, const RotaryInputs& rotary) {
  return graph.call_op("lathe::rotary_embedding", {x, rotary.cos, rotary.sin});
}

Argument optional_int(std::optional<int64_t> value) {
  return value ? Argument(*value) : Argument();
}

}  // namespace

ir::GraphPtr attention_graph(const AttentionGraphOptions& options) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  const RotaryInputs rotary{graph.placeholder("cos"), graph.placeholder("sin")};
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* query = graph.call_module("q_proj", {hidden});
  Node* key = graph.call_module("k_proj", {hidden});
  Node* value = graph.call_module("v_proj", {hidden});
  query = split_heads(graph, query, options.head_dim, options.qk_norm ? "q_norm" : nullptr);
  key = split_heads(graph, key, options.head_dim, options.qk_norm ? "k_norm" : nullptr);
  value = split_heads(graph, value, options.head_dim, nullptr);
  query = rotate(graph, query, rotary);
  key = rotate(graph, key, rotary);
  const double scale = 1.0 / std::sqrt(static_cast<double>(options.head_dim));
  Node* mixed = graph.call_op("lathe::attention", {query, key, value, mask, true, scale,
                                                   optional_int(options.sliding_window)});
  Node* tokens = graph.call_op("aten::transpose.int", {mixed, 1, 2});
  Node* merged = graph.call_op("aten::flatten.using_ints", {tokens, 2, 3});
  graph.output(graph.call_module("o_proj", {merged}));
  return graph.build();
}

ir::GraphPtr gated_mlp_graph() {
  GraphBuilder graph;
  Node* x = graph.placeholder("x");
  Node* gate = graph.call_module("act_fn", {graph.call_module("gate_proj", {x})});
  Node* up = graph.call_module("up_proj", {x});
  Node* product = graph.call_op("aten::mul.Tensor", {gate, up});
  graph.output(graph.call_module("down_proj", {product}));
  return graph.build();
}

ir::GraphPtr decoder_layer_graph() {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* cos = graph.placeholder("cos");
  Node* sin = graph.placeholder("sin");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* normed = graph.call_module("input_layernorm", {hidden});
  Node* attended = graph.call_module("self_attn", {normed, cos, sin, mask});
  Node* middle = graph.call_op("aten::add.Tensor", {hidden, attended});
  Node* middle_normed = graph.call_module("post_attention_layernorm", {middle});
  Node* mapped = graph.call_module("mlp", {middle_normed});
  graph.output(graph.call_op("aten::add.Tensor", {middle, mapped}));
  return graph.build();
}

ir::GraphPtr decoder_model_graph(int64_t num_layers) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* positions = graph.call_op("lathe::position_ids", {ids});
  Node* hidden = graph.call_module("embed_tokens", {ids});
  Node* rotary = graph.call_module("rotary_emb", {hidden, positions});
  Node* cos = graph.call_op("builtin::getitem", {rotary, 0}, {}, "cos");
  Node* sin = graph.call_op("builtin::getitem", {rotary, 1}, {}, "sin");
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    hidden = graph.call_module(fmt::format("layers.{}", layer), {hidden, cos, sin, mask});
  }
  graph.output(graph.call_module("norm", {hidden}));
  return graph.build();
}

ir::GraphPtr causal_lm_graph() {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* hidden = graph.call_module("model", {ids, mask});
  graph.named_output({{"logits", graph.call_module("lm_head", {hidden})}});
  return graph.build();
}

}  // namespace lathe::frontends
