#include "frontends/huggingface/decoder_graphs.h"

#include <fmt/format.h>

#include "frontends/huggingface/attention_graphs.h"
#include "frontends/huggingface/small_graphs.h"

namespace lathe::frontends {
namespace {

using ir::Argument;
using ir::GraphBuilder;
using ir::Node;

Node* scale(GraphBuilder& graph, Node* x, double factor) {
  return factor == 1.0 ? x : graph.call_op("aten::mul.Scalar", {x, factor});
}

RotaryInputs make_rotary(GraphBuilder& graph, const char* module, Node* hidden, Node* positions) {
  Node* rotary = graph.call_module(module, {hidden, positions});
  return {graph.call_op("builtin::getitem", {rotary, 0}, {}, "cos"),
          graph.call_op("builtin::getitem", {rotary, 1}, {}, "sin")};
}

Node* gate_product(GraphBuilder& graph, Node* gate, Node* up, const char* activation) {
  return graph.call_op("aten::mul.Tensor", {graph.call_module(activation, {gate}), up});
}

ir::GraphPtr fused_mlp_graph(int64_t size) {
  GraphBuilder graph;
  Node* both = graph.call_module("gate_up_proj", {graph.placeholder("x")});
  Node* product = gate_product(graph, slice_last(graph, both, 0, size),
                               slice_last(graph, both, size, 2 * size), "activation_fn");
  graph.output(graph.call_module("down_proj", {product}));
  return graph.build();
}

/// The names of the norms before and after attention and MLP; null where there is none.
struct LayerNorms {
  const char* before_attention;
  const char* after_attention;
  const char* before_mlp;
  const char* after_mlp;
};

LayerNorms norms_of(NormPlacement placement) {
  switch (placement) {
    case NormPlacement::kBefore:
      return {"input_layernorm", nullptr, "post_attention_layernorm", nullptr};
    case NormPlacement::kAfter:
      return {nullptr, "post_attention_layernorm", nullptr, "post_feedforward_layernorm"};
    case NormPlacement::kBoth:
      break;
  }
  return {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
          "post_feedforward_layernorm"};
}

}  // namespace

ir::GraphPtr gated_mlp_graph(const std::string& gate, const std::string& up,
                             const std::string& down, const std::string& activation) {
  GraphBuilder graph;
  Node* x = graph.placeholder("x");
  Node* gated = graph.call_module(activation, {graph.call_module(gate, {x})});
  Node* product = graph.call_op("aten::mul.Tensor", {gated, graph.call_module(up, {x})});
  graph.output(graph.call_module(down, {product}));
  return graph.build();
}

ir::GraphPtr mlp_graph(MlpKind kind, int64_t size) {
  switch (kind) {
    case MlpKind::kFusedGated:
      return fused_mlp_graph(size);
    case MlpKind::kPlain:
      return chain_graph({"c_fc", "act", "c_proj"});
    case MlpKind::kGated:
      break;
  }
  return gated_mlp_graph("gate_proj", "up_proj", "down_proj");
}

ir::GraphPtr decoder_layer_graph(const DecoderConfig& config, const std::string& mlp) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* cos = graph.placeholder("cos");
  Node* sin = graph.placeholder("sin");
  Node* mask = graph.optional_placeholder("attention_mask");
  const LayerNorms norms = norms_of(config.norm_placement);
  const auto norm = [&](const char* name, Node* x) {
    return name == nullptr ? x : graph.call_module(name, {x});
  };
  const auto add = [&](Node* residual, Node* x) {
    return graph.call_op("aten::add.Tensor",
                         {residual, scale(graph, x, config.residual_multiplier)});
  };
  Node* attended =
      graph.call_module("self_attn", {norm(norms.before_attention, hidden), cos, sin, mask});
  Node* middle = add(hidden, norm(norms.after_attention, attended));
  Node* mapped = graph.call_module(mlp, {norm(norms.before_mlp, middle)});
  graph.output(add(middle, norm(norms.after_mlp, mapped)));
  return graph.build();
}

ir::GraphPtr decoder_model_graph(const DecoderConfig& config, double embedding_multiplier) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* positions = graph.call_op("lathe::position_ids", {ids});
  Node* hidden = scale(graph, graph.call_module("embed_tokens", {ids}), embedding_multiplier);
  const RotaryInputs rotary = make_rotary(graph, "rotary_emb", hidden, positions);
  RotaryInputs local = rotary;
  if (config.local_rope) local = make_rotary(graph, "rotary_emb_local", hidden, positions);
  for (size_t layer = 0; layer < config.layers.size(); ++layer) {
    const RotaryInputs& own = config.layers[layer].local_rope ? local : rotary;
    hidden = graph.call_module(fmt::format("layers.{}", layer), {hidden, own.cos, own.sin, mask});
  }
  graph.output(graph.call_module("norm", {hidden}));
  return graph.build();
}

ir::GraphPtr causal_lm_graph(const DecoderConfig& config) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* hidden = graph.call_module("model", {ids, mask});
  Node* logits = graph.call_module("lm_head", {hidden});
  if (config.logits_divisor != 1.0) {
    logits = graph.call_op("aten::div.Scalar", {logits, config.logits_divisor});
  }
  if (config.logits_softcap) {
    Node* small = graph.call_op("aten::div.Scalar", {logits, *config.logits_softcap});
    logits = graph.call_op("aten::mul.Scalar",
                           {graph.call_op("aten::tanh", {small}), *config.logits_softcap});
  }
  graph.named_output({{"logits", logits}});
  return graph.build();
}

}  // namespace lathe::frontends
