// GPT-NeoX (Pythia): q, k and v of each head in one projection, partial rotary positions, attention
// and MLP side by side.
#include <cmath>

#include "base/error.h"
#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/attention_graphs.h"
#include "frontends/huggingface/builders.h"
#include "frontends/huggingface/config_values.h"
#include "frontends/huggingface/leaf_modules.h"
#include "frontends/huggingface/rope.h"
#include "frontends/huggingface/small_graphs.h"
#include "frontends/huggingface/tied_parameters.h"

namespace lathe::frontends {
namespace {

using ir::Argument;
using ir::GraphBuilder;
using ir::ModulePtr;
using ir::Node;

constexpr const char* kEmbedding = "gpt_neox.embed_in.weight";
constexpr const char* kHead = "embed_out.weight";

struct NeoxConfig {
  int64_t vocab_size, hidden, inner, heads, head_dim;
  size_t layers;
  double eps;
  std::string activation;
  bool bias, parallel, tied;
  RopeSettings rope;
  int64_t rotary_size;
};

NeoxConfig read_neox(const ConfigReader& config) {
  NeoxConfig own;
  own.vocab_size = config.size("vocab_size");
  own.hidden = config.size("hidden_size");
  own.inner = config.size("intermediate_size");
  own.heads = config.size("num_attention_heads");
  own.head_dim = read_head_dim(config, own.hidden, "num_attention_heads");
  own.layers = read_layer_count(config, "num_hidden_layers");
  own.eps = config.positive_or("layer_norm_eps", 1e-5);
  own.activation = read_activation(config, "hidden_act", "gelu");
  own.bias = config.flag_or("attention_bias", true);
  own.parallel = config.flag_or("use_parallel_residual", true);
  own.tied = config.flag_or("tie_word_embeddings", false);
  own.rope = read_rope(config, {.theta = config.positive_or("rotary_emb_base", 10000.0),
                                .partial_rotary_factor = config.positive_or("rotary_pct", 0.25)});
  own.rotary_size = own.rope.rotary_size(own.head_dim);
  if (own.rotary_size < 2 || own.rotary_size % 2 != 0) {
    throw_data("{}: rotary_pct {} of a head of {} must be an even number of elements",
               config.source_name(), own.rope.partial_rotary_factor, own.head_dim);
  }
  return own;
}

ir::GraphPtr neox_attention_graph(const NeoxConfig& config) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  const RotaryInputs rotary{graph.placeholder("cos"), graph.placeholder("sin")};
  Node* mask = graph.optional_placeholder("attention_mask");
  const int64_t size = config.head_dim;
  Node* all = split_heads(graph, graph.call_module("query_key_value", {hidden}), 3 * size);
  Node* query = rotate(graph, slice_last(graph, all, 0, size), rotary, config.rotary_size, size);
  Node* key =
      rotate(graph, slice_last(graph, all, size, 2 * size), rotary, config.rotary_size, size);
  Node* value = slice_last(graph, all, 2 * size, 3 * size);
  const double scale = 1.0 / std::sqrt(static_cast<double>(size));
  Node* mixed =
      graph.call_op("lathe::attention", {query, key, value, mask, true, scale, Argument()});
  graph.output(graph.call_module("dense", {merge_heads(graph, mixed)}));
  return graph.build();
}

ir::GraphPtr layer_graph(bool parallel) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* cos = graph.placeholder("cos");
  Node* sin = graph.placeholder("sin");
  Node* mask = graph.optional_placeholder("attention_mask");
  const auto add = [&](Node* a, Node* b) { return graph.call_op("aten::add.Tensor", {a, b}); };
  const auto mlp = [&](Node* x) {
    return graph.call_module("mlp", {graph.call_module("post_attention_layernorm", {x})});
  };
  Node* attended = graph.call_module(
      "attention", {graph.call_module("input_layernorm", {hidden}), cos, sin, mask});
  if (parallel) {
    graph.output(add(add(mlp(hidden), attended), hidden));
  } else {
    Node* middle = add(attended, hidden);
    graph.output(add(mlp(middle), middle));
  }
  return graph.build();
}

ir::GraphPtr model_graph(size_t layers) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* positions = graph.call_op("lathe::position_ids", {ids});
  Node* hidden = graph.call_module("embed_in", {ids});
  Node* rotary = graph.call_module("rotary_emb", {hidden, positions});
  Node* cos = graph.call_op("builtin::getitem", {rotary, 0}, {}, "cos");
  Node* sin = graph.call_op("builtin::getitem", {rotary, 1}, {}, "sin");
  for (size_t layer = 0; layer < layers; ++layer) {
    hidden = graph.call_module(fmt::format("layers.{}", layer), {hidden, cos, sin, mask});
  }
  graph.output(graph.call_module("final_layer_norm", {hidden}));
  return graph.build();
}

class NeoxBuilder {
 public:
  NeoxBuilder(const NeoxConfig& config, Weights& weights)
      : config_(config),
        leaves_(weights),
        attention_graph_(neox_attention_graph(config)),
        layer_graph_(layer_graph(config.parallel)),
        mlp_graph_(chain_graph({"dense_h_to_4h", "act", "dense_4h_to_h"})) {}

  ModulePtr build(bool tied) {
    ModulePtr root = composite("GPTNeoXForCausalLM", language_model_graph("gpt_neox", "embed_out"));
    ModulePtr model = composite("GPTNeoXModel", model_graph(config_.layers));
    model->add_child("embed_in",
                     leaves_.embedding("gpt_neox.embed_in", config_.vocab_size, config_.hidden));
    ir::Module& layers = model->add_child("layers", ir::make_module("ModuleList"));
    for (size_t i = 0; i < config_.layers; ++i) {
      layers.add_child(std::to_string(i), layer(fmt::format("gpt_neox.layers.{}", i)));
    }
    model->add_child("final_layer_norm", norm("gpt_neox.final_layer_norm"));
    model->add_child("rotary_emb", make_rotary_embedding(config_.rope, config_.rotary_size,
                                                         leaves_.weights().source_name()));
    ModulePtr head = tied ? tied_linear(model->at("embed_in"))
                          : leaves_.linear("embed_out", config_.vocab_size, config_.hidden, false);
    root->add_child("gpt_neox", std::move(model));
    root->add_child("embed_out", std::move(head));
    return root;
  }

 private:
  ModulePtr norm(const std::string& path) {
    return leaves_.layer_norm(path, config_.hidden, config_.eps);
  }

  ModulePtr layer(const std::string& path) {
    const int64_t hidden = config_.hidden;
    ModulePtr module = composite("GPTNeoXLayer", layer_graph_);
    module->is_block = true;
    ModulePtr attention = composite("GPTNeoXAttention", attention_graph_);
    attention->attributes.set("num_heads", config_.heads);
    attention->attributes.set("num_key_value_heads", config_.heads);
    attention->attributes.set("head_dim", config_.head_dim);
    attention->add_child("query_key_value", leaves_.linear(path + ".attention.query_key_value",
                                                           3 * hidden, hidden, config_.bias));
    attention->add_child("dense",
                         leaves_.linear(path + ".attention.dense", hidden, hidden, config_.bias));
    ModulePtr mlp = composite("GPTNeoXMLP", mlp_graph_);
    mlp->add_child("dense_h_to_4h",
                   leaves_.linear(path + ".mlp.dense_h_to_4h", config_.inner, hidden, true));
    mlp->add_child("dense_4h_to_h",
                   leaves_.linear(path + ".mlp.dense_4h_to_h", hidden, config_.inner, true));
    mlp->add_child("act", make_activation(config_.activation));
    module->add_child("input_layernorm", norm(path + ".input_layernorm"));
    module->add_child("post_attention_layernorm", norm(path + ".post_attention_layernorm"));
    module->add_child("attention", std::move(attention));
    module->add_child("mlp", std::move(mlp));
    return module;
  }

  const NeoxConfig& config_;
  LeafModules leaves_;
  ir::GraphPtr attention_graph_;
  ir::GraphPtr layer_graph_;
  ir::GraphPtr mlp_graph_;
};

}  // namespace

void build_gpt_neox(const ConfigReader& config, Weights& weights, ir::Model& model) {
  const NeoxConfig own = read_neox(config);
  weights.check_count("num_hidden_layers", static_cast<int64_t>(own.layers));
  const bool tied = tie_parameter(own.tied, kHead, kEmbedding, weights, model);
  model.root = NeoxBuilder(own, weights).build(tied);
  model.vocab_size = own.vocab_size;
}

}  // namespace lathe::frontends
