// OPT: learned positions that skip padding, projections around the decoder if the embedding has
// another size.
#include <cmath>

#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/attention_graphs.h"
#include "frontends/huggingface/builders.h"
#include "frontends/huggingface/config_values.h"
#include "frontends/huggingface/leaf_modules.h"
#include "frontends/huggingface/small_graphs.h"
#include "frontends/huggingface/tied_parameters.h"

namespace lathe::frontends {
namespace {

using ir::GraphBuilder;
using ir::ModulePtr;
using ir::Node;

constexpr const char* kPath = "model.decoder";
constexpr const char* kEmbedding = "model.decoder.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";
constexpr int64_t kPositionOffset = 2;
constexpr double kEps = 1e-5;  // no key of the config

struct OptConfig {
  int64_t vocab_size, hidden, embedding, inner, heads, head_dim, positions;
  size_t layers;
  std::string activation;
  bool norm_first, final_norm, bias, tied;

  bool projects() const { return embedding != hidden; }
};

OptConfig read_opt(const ConfigReader& config) {
  if (!config.flag_or("layer_norm_elementwise_affine", true)) {
    config.unsupported("layer_norm_elementwise_affine", "norms have weights");
  }
  OptConfig own;
  own.vocab_size = config.size("vocab_size");
  own.hidden = config.size("hidden_size");
  own.embedding = config.size_or("word_embed_proj_dim", own.hidden);
  own.inner = config.size("ffn_dim");
  own.heads = config.size("num_attention_heads");
  own.head_dim = read_head_dim(config, own.hidden, "num_attention_heads");
  own.positions = config.size("max_position_embeddings");
  own.layers = read_layer_count(config, "num_hidden_layers");
  own.activation = read_activation(config, "activation_function", "relu");
  own.norm_first = config.flag_or("do_layer_norm_before", true);
  own.final_norm = own.norm_first && !config.flag_or("_remove_final_layer_norm", false);
  own.bias = config.flag_or("enable_bias", true);
  own.tied = config.flag_or("tie_word_embeddings", true);
  return own;
}

ir::GraphPtr opt_attention_graph(const OptConfig& config) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  const double scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim));
  graph.output(plain_attention(graph, {.head_dim = config.head_dim, .scale = scale, .causal = true},
                               hidden, hidden, mask));
  return graph.build();
}

ir::GraphPtr layer_graph(bool norm_first) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  const auto norm = [&](bool here, const char* name, Node* x) {
    return here ? graph.call_module(name, {x}) : x;
  };
  Node* normed = norm(norm_first, "self_attn_layer_norm", hidden);
  Node* middle =
      graph.call_op("aten::add.Tensor", {hidden, graph.call_module("self_attn", {normed, mask})});
  middle = norm(!norm_first, "self_attn_layer_norm", middle);
  Node* inner = graph.call_module("fc1", {norm(norm_first, "final_layer_norm", middle)});
  Node* mapped = graph.call_module("fc2", {graph.call_module("activation_fn", {inner})});
  Node* sum = graph.call_op("aten::add.Tensor", {middle, mapped});
  graph.output(norm(!norm_first, "final_layer_norm", sum));
  return graph.build();
}

ir::GraphPtr decoder_graph(const OptConfig& config) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  // Padding has position -1, tokens count from 0.
  Node* tokens = graph.call_op("lathe::or_full", {mask, ids, 1});
  Node* counts = graph.call_op("aten::cumsum", {tokens, 1});
  Node* steps = graph.call_op("aten::mul.Tensor", {counts, tokens});
  Node* positions = graph.call_op("aten::add.Scalar", {steps, kPositionOffset - 1});
  Node* hidden = graph.call_module("embed_tokens", {ids});
  if (config.projects()) hidden = graph.call_module("project_in", {hidden});
  hidden = graph.call_op("aten::add.Tensor",
                         {hidden, graph.call_module("embed_positions", {positions})});
  for (size_t layer = 0; layer < config.layers; ++layer) {
    hidden = graph.call_module(fmt::format("layers.{}", layer), {hidden, mask});
  }
  if (config.final_norm) hidden = graph.call_module("final_layer_norm", {hidden});
  if (config.projects()) hidden = graph.call_module("project_out", {hidden});
  graph.output(hidden);
  return graph.build();
}

class OptBuilder {
 public:
  OptBuilder(const OptConfig& config, Weights& weights)
      : config_(config),
        leaves_(weights),
        attention_graph_(opt_attention_graph(config)),
        layer_graph_(layer_graph(config.norm_first)) {}

  ModulePtr build(bool tied) {
    const std::string path = kPath;
    const int64_t hidden = config_.hidden;
    ModulePtr root = composite("OPTForCausalLM", language_model_graph("model.decoder", "lm_head"));
    ModulePtr decoder = composite("OPTDecoder", decoder_graph(config_));
    decoder->add_child("embed_tokens", leaves_.embedding(path + ".embed_tokens", config_.vocab_size,
                                                         config_.embedding));
    decoder->add_child(
        "embed_positions",
        leaves_.embedding(path + ".embed_positions", config_.positions + kPositionOffset, hidden));
    if (config_.projects()) {
      decoder->add_child("project_in",
                         leaves_.linear(path + ".project_in", hidden, config_.embedding, false));
      decoder->add_child("project_out",
                         leaves_.linear(path + ".project_out", config_.embedding, hidden, false));
    }
    if (config_.final_norm) {
      decoder->add_child("final_layer_norm", norm(path + ".final_layer_norm"));
    }
    ir::Module& layers = decoder->add_child("layers", ir::make_module("ModuleList"));
    for (size_t i = 0; i < config_.layers; ++i) {
      layers.add_child(std::to_string(i), layer(fmt::format("{}.layers.{}", path, i)));
    }
    ModulePtr head = tied ? tied_linear(decoder->at("embed_tokens"))
                          : leaves_.linear("lm_head", config_.vocab_size, config_.embedding, false);
    root->add_child("model", ir::make_module("OPTModel")).add_child("decoder", std::move(decoder));
    root->add_child("lm_head", std::move(head));
    return root;
  }

 private:
  ModulePtr norm(const std::string& path) { return leaves_.layer_norm(path, config_.hidden, kEps); }

  ModulePtr layer(const std::string& path) {
    const int64_t hidden = config_.hidden;
    ModulePtr module = composite("OPTDecoderLayer", layer_graph_);
    module->is_block = true;
    ModulePtr attention = composite("OPTAttention", attention_graph_);
    attention->attributes.set("num_heads", config_.heads);
    attention->attributes.set("num_key_value_heads", config_.heads);
    attention->attributes.set("head_dim", config_.head_dim);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      attention->add_child(
          name, leaves_.linear(path + ".self_attn." + name, hidden, hidden, config_.bias));
    }
    module->add_child("self_attn", std::move(attention));
    module->add_child("self_attn_layer_norm", norm(path + ".self_attn_layer_norm"));
    module->add_child("fc1", leaves_.linear(path + ".fc1", config_.inner, hidden, config_.bias));
    module->add_child("activation_fn", make_activation(config_.activation));
    module->add_child("fc2", leaves_.linear(path + ".fc2", hidden, config_.inner, config_.bias));
    module->add_child("final_layer_norm", norm(path + ".final_layer_norm"));
    return module;
  }

  const OptConfig& config_;
  LeafModules leaves_;
  ir::GraphPtr attention_graph_;
  ir::GraphPtr layer_graph_;
};

}  // namespace

void build_opt(const ConfigReader& config, Weights& weights, ir::Model& model) {
  const OptConfig own = read_opt(config);
  weights.check_count("num_hidden_layers", static_cast<int64_t>(own.layers));
  weights.add_prefix("model.", "decoder.embed_tokens.weight");
  const bool tied = tie_parameter(own.tied, kHead, kEmbedding, weights, model);
  model.root = OptBuilder(own, weights).build(tied);
  model.vocab_size = own.vocab_size;
}

}  // namespace lathe::frontends
