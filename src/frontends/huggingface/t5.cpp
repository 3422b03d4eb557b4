// T5: encoder and decoder whose attention has a learned bias by distance.
#include <cmath>

#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/attention_graphs.h"
#include "frontends/huggingface/builders.h"
#include "frontends/huggingface/config_values.h"
#include "frontends/huggingface/decoder_graphs.h"
#include "frontends/huggingface/leaf_modules.h"
#include "frontends/huggingface/small_graphs.h"
#include "frontends/huggingface/tied_parameters.h"

namespace lathe::frontends {
namespace {

using ir::Argument;
using ir::GraphBuilder;
using ir::ModulePtr;
using ir::Node;

constexpr const char* kShared = "shared.weight";
constexpr const char* kHead = "lm_head.weight";
/// The first block's embedding of distances serves all.
constexpr const char* kBias = "block.0.layer.0.SelfAttention.relative_attention_bias";

enum class Kind { kModel, kGeneration, kEncoder };

struct T5Config {
  int64_t vocab_size, hidden, head_dim, inner, heads, buckets, max_distance;
  size_t encoder_layers, decoder_layers;
  double eps;
  bool gated, scales_output;
  std::string activation;

  int64_t attended() const { return heads * head_dim; }
};

/// "relu", "gated-gelu": the second is the tanh form, for old times' sake. What transformers
/// derives from it and writes beside it counts for more, as it does there.
void read_feed_forward(const ConfigReader& config, T5Config& own) {
  const std::string kind = config.text_or("feed_forward_proj", "relu");
  constexpr std::string_view kGated = "gated-";
  const bool gated = kind.starts_with(kGated);
  const std::string named = gated ? kind.substr(kGated.size()) : kind;
  own.gated = config.flag_or("is_gated_act", gated);
  own.activation = config.text_or("dense_act_fn", kind == "gated-gelu" ? "gelu_new" : named);
  if (!is_activation(own.activation)) {
    config.unsupported(config.has("dense_act_fn") ? "dense_act_fn" : "feed_forward_proj",
                       "supported: " + supported_activations());
  }
}

T5Config read_t5(const ConfigReader& config) {
  config.refuse_flag("is_decoder", "the model has an encoder");
  T5Config own;
  own.vocab_size = config.size("vocab_size");
  own.hidden = config.size("d_model");
  own.head_dim = config.size("d_kv");
  own.inner = config.size("d_ff");
  own.heads = config.size("num_heads");
  own.buckets = config.size_or("relative_attention_num_buckets", 32);
  own.max_distance = config.size_or("relative_attention_max_distance", 128);
  if (own.buckets < 4) config.fail("relative_attention_num_buckets", "at least 4");
  if (own.max_distance <= own.buckets / 2) {
    config.fail("relative_attention_max_distance", "above half of relative_attention_num_buckets");
  }
  own.encoder_layers = read_layer_count(config, "num_layers");
  own.decoder_layers = config.has("num_decoder_layers")
                           ? read_layer_count(config, "num_decoder_layers")
                           : own.encoder_layers;
  own.eps = config.positive_or("layer_norm_epsilon", 1e-6);
  own.scales_output =
      config.flag_or("scale_decoder_outputs", config.flag_or("tie_word_embeddings", true));
  read_feed_forward(config, own);
  return own;
}

/// x + layer(layer_norm(x))
ir::GraphPtr feed_forward_layer_graph() {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mapped = graph.call_module("DenseReluDense", {graph.call_module("layer_norm", {hidden})});
  graph.output(graph.call_op("aten::add.Tensor", {hidden, mapped}));
  return graph.build();
}

ir::GraphPtr t5_attention_graph(const T5Config& config, bool causal, bool cross) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* source = cross ? graph.placeholder("key_value_states") : hidden;
  Node* bias = cross ? nullptr : graph.placeholder("position_bias");
  Node* mask = graph.optional_placeholder("mask");
  const PlainAttention attention{.query = "q",
                                 .key = "k",
                                 .value = "v",
                                 .output = "o",
                                 .head_dim = config.head_dim,
                                 .scale = 1.0,
                                 .causal = causal};
  graph.output(plain_attention(graph, attention, hidden, source, mask, bias));
  return graph.build();
}

/// (hidden_states, position_bias or the encoder's states, mask or None)
ir::GraphPtr attention_layer_graph(const char* attention, const char* second) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* other = graph.placeholder(second);
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* normed = graph.call_module("layer_norm", {hidden});
  graph.output(graph.call_op("aten::add.Tensor",
                             {hidden, graph.call_module(attention, {normed, other, mask})}));
  return graph.build();
}

ir::GraphPtr block_graph(bool decodes) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* bias = graph.placeholder("position_bias");
  Node* encoded = decodes ? graph.placeholder("encoder_hidden_states") : nullptr;
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* encoder_mask = decodes ? graph.optional_placeholder("encoder_attention_mask") : nullptr;
  hidden = graph.call_module("layer.0", {hidden, bias, mask});
  if (decodes) hidden = graph.call_module("layer.1", {hidden, encoded, encoder_mask});
  graph.output(graph.call_module(decodes ? "layer.2" : "layer.1", {hidden}));
  return graph.build();
}

/// (inputs_embeds, [encoder_hidden_states,] attention_mask[, encoder_attention_mask])
ir::GraphPtr stack_graph(const T5Config& config, bool decodes) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("inputs_embeds");
  Node* encoded = decodes ? graph.placeholder("encoder_hidden_states") : nullptr;
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* encoder_mask = decodes ? graph.optional_placeholder("encoder_attention_mask") : nullptr;
  Node* buckets = graph.call_op("lathe::relative_position_buckets",
                                {hidden, hidden, !decodes, config.buckets, config.max_distance});
  Node* by_head = graph.call_op("aten::permute",
                                {graph.call_module(kBias, {buckets}), Argument::List{2, 0, 1}});
  Node* bias = graph.call_op("aten::unsqueeze", {by_head, 0});
  const size_t layers = decodes ? config.decoder_layers : config.encoder_layers;
  for (size_t layer = 0; layer < layers; ++layer) {
    std::vector<Argument> arguments = {hidden, bias, mask};
    if (decodes) arguments = {hidden, bias, encoded, mask, encoder_mask};
    hidden = graph.call_module(fmt::format("block.{}", layer), std::move(arguments));
  }
  graph.output(graph.call_module("final_layer_norm", {hidden}));
  return graph.build();
}

ir::GraphPtr root_graph(const T5Config& config, Kind kind) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* encoded = graph.call_module("encoder", {graph.call_module("shared", {ids}), mask});
  if (kind == Kind::kEncoder) {
    graph.named_output({{"last_hidden_state", encoded}});
    return graph.build();
  }
  Node* decoder_ids = graph.placeholder("decoder_input_ids");
  Node* decoder_mask = graph.optional_placeholder("decoder_attention_mask");
  Node* hidden = graph.call_module(
      "decoder", {graph.call_module("shared", {decoder_ids}), encoded, decoder_mask, mask});
  if (kind == Kind::kModel) {
    graph.named_output({{"last_hidden_state", hidden}, {"encoder_last_hidden_state", encoded}});
    return graph.build();
  }
  if (config.scales_output) {
    const double scale = 1.0 / std::sqrt(static_cast<double>(config.hidden));
    hidden = graph.call_op("aten::mul.Scalar", {hidden, scale});
  }
  graph.named_output(
      {{"logits", graph.call_module("lm_head", {hidden})}, {"encoder_last_hidden_state", encoded}});
  return graph.build();
}

class T5Builder {
 public:
  T5Builder(const T5Config& config, Weights& weights)
      : config_(config),
        leaves_(weights),
        feed_forward_graph_(feed_forward_layer_graph()),
        mlp_graph_(config.gated ? gated_mlp_graph("wi_0", "wi_1", "wo", "act")
                                : chain_graph({"wi", "act", "wo"})) {}

  ModulePtr build(Kind kind, bool tied) {
    constexpr const char* kNames[] = {"T5Model", "T5ForConditionalGeneration", "T5EncoderModel"};
    ModulePtr root = composite(kNames[static_cast<size_t>(kind)], root_graph(config_, kind));
    ir::Module& shared =
        root->add_child("shared", leaves_.embedding("shared", config_.vocab_size, config_.hidden));
    root->add_child("encoder", stack("encoder", false));
    if (kind != Kind::kEncoder) root->add_child("decoder", stack("decoder", true));
    if (kind == Kind::kGeneration) {
      root->add_child("lm_head",
                      tied ? tied_linear(shared)
                           : leaves_.linear("lm_head", config_.vocab_size, config_.hidden, false));
    }
    return root;
  }

 private:
  ModulePtr norm(const std::string& path) {
    return leaves_.rms_norm(path, config_.hidden, config_.eps);
  }

  ModulePtr attention(const std::string& path, const ir::GraphPtr& graph, bool has_bias) {
    ModulePtr module = composite("T5Attention", graph);
    module->attributes.set("num_heads", config_.heads);
    module->attributes.set("num_key_value_heads", config_.heads);
    module->attributes.set("head_dim", config_.head_dim);
    for (const char* name : {"q", "k", "v"}) {
      module->add_child(name, leaves_.linear(ir::join_path(path, name), config_.attended(),
                                             config_.hidden, false));
    }
    module->add_child("o", leaves_.linear(path + ".o", config_.hidden, config_.attended(), false));
    if (has_bias) {
      module->add_child(
          "relative_attention_bias",
          leaves_.embedding(path + ".relative_attention_bias", config_.buckets, config_.heads));
    }
    return module;
  }

  ModulePtr feed_forward(const std::string& path) {
    const std::string inner_path = path + ".DenseReluDense";
    ModulePtr inner =
        composite(config_.gated ? "T5DenseGatedActDense" : "T5DenseActDense", mlp_graph_);
    const auto widen = [&](const char* name) {
      inner->add_child(name, leaves_.linear(ir::join_path(inner_path, name), config_.inner,
                                            config_.hidden, false));
    };
    if (config_.gated) {
      widen("wi_0");
      widen("wi_1");
    } else {
      widen("wi");
    }
    inner->add_child("wo",
                     leaves_.linear(inner_path + ".wo", config_.hidden, config_.inner, false));
    inner->add_child("act", make_activation(config_.activation));
    ModulePtr module = composite("T5LayerFF", feed_forward_graph_);
    module->add_child("DenseReluDense", std::move(inner));
    module->add_child("layer_norm", norm(path + ".layer_norm"));
    return module;
  }

  struct StackGraphs {
    ir::GraphPtr block, self_attention, self_layer, cross_attention, cross_layer;
  };

  ModulePtr block(const std::string& path, const StackGraphs& graphs, bool is_first, bool decodes) {
    ModulePtr module = composite("T5Block", graphs.block);
    module->is_block = true;
    ir::Module& layers = module->add_child("layer", ir::make_module("ModuleList"));
    const auto attend = [&](const char* index, const char* type, const char* name,
                            const ir::GraphPtr& layer_graph, const ir::GraphPtr& graph,
                            bool has_bias) {
      const std::string own = fmt::format("{}.layer.{}", path, index);
      ModulePtr layer = composite(type, layer_graph);
      layer->add_child(name, attention(ir::join_path(own, name), graph, has_bias));
      layer->add_child("layer_norm", norm(own + ".layer_norm"));
      layers.add_child(index, std::move(layer));
    };
    attend("0", "T5LayerSelfAttention", "SelfAttention", graphs.self_layer, graphs.self_attention,
           is_first);
    if (decodes) {
      attend("1", "T5LayerCrossAttention", "EncDecAttention", graphs.cross_layer,
             graphs.cross_attention, false);
    }
    const char* last = decodes ? "2" : "1";
    layers.add_child(last, feed_forward(fmt::format("{}.layer.{}", path, last)));
    return module;
  }

  ModulePtr stack(const std::string& path, bool decodes) {
    ModulePtr module = composite("T5Stack", stack_graph(config_, decodes));
    const StackGraphs graphs{
        .block = block_graph(decodes),
        .self_attention = t5_attention_graph(config_, decodes, false),
        .self_layer = attention_layer_graph("SelfAttention", "position_bias"),
        .cross_attention = t5_attention_graph(config_, false, true),
        .cross_layer = attention_layer_graph("EncDecAttention", "key_value_states")};
    ir::Module& list = module->add_child("block", ir::make_module("ModuleList"));
    const size_t layers = decodes ? config_.decoder_layers : config_.encoder_layers;
    for (size_t i = 0; i < layers; ++i) {
      list.add_child(std::to_string(i),
                     block(fmt::format("{}.block.{}", path, i), graphs, i == 0, decodes));
    }
    module->add_child("final_layer_norm", norm(path + ".final_layer_norm"));
    return module;
  }

  const T5Config& config_;
  LeafModules leaves_;
  ir::GraphPtr feed_forward_graph_;
  ir::GraphPtr mlp_graph_;
};

/// The embedding may be stored under the names of the stacks too, or under one of these alone.
void tie_embeddings(Weights& weights) {
  for (const char* name : {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"}) {
    weights.tie(name, kShared);
  }
  weights.drop("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
               "attention to the encoder has no bias");
}

void drop_decoder(Weights& weights) {
  for (const StoredTensor* tensor : weights.store().tensors()) {
    const std::string name = tensor->name;
    if (name.starts_with("decoder.") || name == kHead) {
      weights.drop(name, "the encoder alone is the model");
    }
  }
}

void build(const ConfigReader& config, Kind kind, Weights& weights, ir::Model& model) {
  const T5Config own = read_t5(config);
  weights.check_count("num_layers", static_cast<int64_t>(own.encoder_layers));
  weights.check_count("num_decoder_layers", static_cast<int64_t>(own.decoder_layers));
  tie_embeddings(weights);
  if (kind == Kind::kEncoder) drop_decoder(weights);
  // Whatever tie_word_embeddings says, a head without a tensor is the embedding; a tensor that
  // differs from it (T5 1.1) is a head of its own.
  const bool tied = kind == Kind::kGeneration && weights.tie(kHead, kShared);
  if (tied) model.tied.emplace_back(kHead, kShared);
  model.root = T5Builder(own, weights).build(kind, tied);
  model.vocab_size = own.vocab_size;
}

}  // namespace

void build_t5(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, Kind::kModel, weights, model);
}
void build_t5_generation(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, Kind::kGeneration, weights, model);
}
void build_t5_encoder(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, Kind::kEncoder, weights, model);
}

}  // namespace lathe::frontends
