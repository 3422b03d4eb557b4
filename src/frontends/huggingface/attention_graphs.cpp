#include "frontends/huggingface/attention_graphs.h"

namespace lathe::frontends {
namespace {

using ir::Argument;
using ir::GraphBuilder;
using ir::Node;

Argument optional_int(std::optional<int64_t> value) {
  return value ? Argument(*value) : Argument();
}

struct Heads {
  Node* query;
  Node* key;
  Node* value;
};

/// q, k and v before they are split into heads.
Heads project(GraphBuilder& graph, const AttentionConfig& config, Node* hidden) {
  if (!config.fused_qkv) {
    return {graph.call_module("q_proj", {hidden}), graph.call_module("k_proj", {hidden}),
            graph.call_module("v_proj", {hidden})};
  }
  const int64_t query = config.num_heads * config.head_dim;
  const int64_t key = config.num_key_value_heads * config.head_dim;
  Node* all = graph.call_module("qkv_proj", {hidden});
  return {slice_last(graph, all, 0, query), slice_last(graph, all, query, query + key),
          slice_last(graph, all, query + key, query + 2 * key)};
}

/// Heads [B, H, T, D], normed where the config says so.
Node* make_heads(GraphBuilder& graph, const AttentionConfig& config, Node* x, const char* norm) {
  const bool normed = norm != nullptr && config.norm != QueryKeyNorm::kNone;
  if (normed && config.norm == QueryKeyNorm::kWhole) x = graph.call_module(norm, {x});
  Node* heads = graph.call_op("aten::unflatten.int", {x, -1, Argument::List{-1, config.head_dim}});
  if (normed && config.norm == QueryKeyNorm::kHeads) heads = graph.call_module(norm, {heads});
  return graph.call_op("aten::transpose.int", {heads, 1, 2});
}

/// Pairs of neighbours moved to halves: (x0, x1, x2, x3) to (x0, x2, x1, x3).
Node* pairs_to_halves(GraphBuilder& graph, Node* x) {
  Node* pairs = graph.call_op("aten::unflatten.int", {x, -1, Argument::List{-1, 2}});
  Node* halves = graph.call_op("aten::transpose.int", {pairs, -1, -2});
  return graph.call_op("aten::flatten.using_ints", {halves, -2, -1});
}

}  // namespace

Node* slice_last(GraphBuilder& graph, Node* x, int64_t begin, int64_t end) {
  return graph.call_op("aten::slice.Tensor", {x, -1, begin, end});
}

Node* split_heads(GraphBuilder& graph, Node* x, int64_t head_dim) {
  Node* heads = graph.call_op("aten::unflatten.int", {x, -1, Argument::List{-1, head_dim}});
  return graph.call_op("aten::transpose.int", {heads, 1, 2});
}

Node* merge_heads(GraphBuilder& graph, Node* x) {
  Node* tokens = graph.call_op("aten::transpose.int", {x, 1, 2});
  return graph.call_op("aten::flatten.using_ints", {tokens, 2, 3});
}

Node* rotate(GraphBuilder& graph, Node* x, const RotaryInputs& rotary, int64_t rotary_size,
             int64_t head_dim) {
  if (rotary_size == head_dim) {
    return graph.call_op("lathe::rotary_embedding", {x, rotary.cos, rotary.sin});
  }
  Node* turned = slice_last(graph, x, 0, rotary_size);
  turned = graph.call_op("lathe::rotary_embedding", {turned, rotary.cos, rotary.sin});
  Node* kept = slice_last(graph, x, rotary_size, head_dim);
  return graph.call_op("aten::cat", {Argument::List{turned, kept}, -1});
}

Node* plain_attention(GraphBuilder& graph, const PlainAttention& attention, Node* x, Node* source,
                      Node* mask, Node* bias) {
  const auto heads = [&](const char* name, Node* from) {
    return split_heads(graph, graph.call_module(name, {from}), attention.head_dim);
  };
  Node* query = heads(attention.query, x);
  Node* key = heads(attention.key, source);
  Node* value = heads(attention.value, source);
  const Argument visible = mask != nullptr ? Argument(mask) : Argument();
  std::vector<Argument> arguments = {query,           key, value, visible, attention.causal,
                                     attention.scale, {}};
  if (bias != nullptr) arguments.insert(arguments.end(), {Argument(), Argument(), bias});
  Node* mixed = merge_heads(graph, graph.call_op("lathe::attention", std::move(arguments)));
  return attention.output == nullptr ? mixed : graph.call_module(attention.output, {mixed});
}

ir::GraphPtr attention_graph(const AttentionConfig& config, int64_t rotary_size,
                             std::optional<int64_t> window) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  const RotaryInputs rotary{graph.placeholder("cos"), graph.placeholder("sin")};
  Node* mask = graph.optional_placeholder("attention_mask");
  const Heads projected = project(graph, config, hidden);
  Node* query = make_heads(graph, config, projected.query, "q_norm");
  Node* key = make_heads(graph, config, projected.key, "k_norm");
  Node* value = make_heads(graph, config, projected.value, nullptr);
  query = rotate(graph, query, rotary, rotary_size, config.head_dim);
  key = rotate(graph, key, rotary, rotary_size, config.head_dim);
  std::vector<Argument> arguments = {
      query, key, value, mask, true, config.scale, optional_int(window)};
  if (config.softcap || config.sinks) {
    arguments.push_back(config.softcap ? Argument(*config.softcap) : Argument());
  }
  if (config.sinks) arguments.push_back(graph.get_attr("sinks"));
  Node* mixed = graph.call_op("lathe::attention", std::move(arguments));
  graph.output(graph.call_module("o_proj", {merge_heads(graph, mixed)}));
  return graph.build();
}

ir::GraphPtr latent_attention_graph(const LatentAttentionConfig& config) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  const RotaryInputs rotary{graph.placeholder("cos"), graph.placeholder("sin")};
  Node* mask = graph.optional_placeholder("attention_mask");
  const int64_t plain = config.plain_dim;
  const int64_t turned = config.rotary_dim;
  const int64_t rank = config.key_value_rank;
  const auto turn = [&](Node* x) {
    if (config.interleaved) x = pairs_to_halves(graph, x);
    return graph.call_op("lathe::rotary_embedding", {x, rotary.cos, rotary.sin});
  };
  const auto join = [&](Node* a, Node* b) {
    return graph.call_op("aten::cat", {Argument::List{a, b}, -1});
  };
  Node* query = nullptr;
  if (config.query_rank) {
    Node* compressed =
        graph.call_module("q_a_layernorm", {graph.call_module("q_a_proj", {hidden})});
    query = graph.call_module("q_b_proj", {compressed});
  } else {
    query = graph.call_module("q_proj", {hidden});
  }
  query = split_heads(graph, query, plain + turned);
  query = join(slice_last(graph, query, 0, plain),
               turn(slice_last(graph, query, plain, plain + turned)));

  Node* compressed = graph.call_module("kv_a_proj_with_mqa", {hidden});
  Node* shared_key = split_heads(graph, slice_last(graph, compressed, rank, rank + turned), turned);
  shared_key = turn(shared_key);  // one head for all
  Node* normed = graph.call_module("kv_a_layernorm", {slice_last(graph, compressed, 0, rank)});
  Node* heads =
      split_heads(graph, graph.call_module("kv_b_proj", {normed}), plain + config.value_dim);
  Node* value = slice_last(graph, heads, plain, plain + config.value_dim);
  shared_key =
      graph.call_op("aten::expand", {shared_key, Argument::List{-1, config.num_heads, -1, -1}});
  Node* key = join(slice_last(graph, heads, 0, plain), shared_key);

  Node* mixed =
      graph.call_op("lathe::attention", {query, key, value, mask, true, config.scale, Argument()});
  graph.output(graph.call_module("o_proj", {merge_heads(graph, mixed)}));
  return graph.build();
}

}  // namespace lathe::frontends
