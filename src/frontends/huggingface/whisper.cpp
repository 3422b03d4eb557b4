// Whisper: an encoder of mel spectrograms and a decoder that attends to it.
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
using ir::join_path;
using ir::ModulePtr;
using ir::Node;

constexpr double kEps = 1e-5;  // no key of the config

/// One of the two stacks.
struct StackConfig {
  size_t layers;
  int64_t heads, head_dim, inner, positions;
};

// scale_embedding is in the config, but transformers does not apply it.
struct WhisperConfig {
  std::string prefix;  // "", or "model" below a head
  int64_t vocab_size, hidden, mel_bins;
  StackConfig encoder, decoder;
  std::string activation;
  bool tied;
};

StackConfig read_stack(const ConfigReader& config, const std::string& name, int64_t hidden,
                       const char* positions_key) {
  StackConfig stack;
  stack.layers = read_layer_count(config, (name + "_layers").c_str());
  const std::string heads_key = name + "_attention_heads";
  stack.heads = config.size(heads_key);
  stack.head_dim = read_head_dim(config, hidden, heads_key.c_str());
  stack.inner = config.size(name + "_ffn_dim");
  stack.positions = config.size(positions_key);
  return stack;
}

WhisperConfig read_whisper(const ConfigReader& config) {
  WhisperConfig own;
  own.vocab_size = config.size("vocab_size");
  own.hidden = config.size("d_model");
  own.mel_bins = config.size("num_mel_bins");
  own.encoder = read_stack(config, "encoder", own.hidden, "max_source_positions");
  own.decoder = read_stack(config, "decoder", own.hidden, "max_target_positions");
  own.activation = read_activation(config, "activation_function", "gelu");
  own.tied = config.flag_or("tie_word_embeddings", true);
  return own;
}

ir::GraphPtr whisper_attention_graph(int64_t head_dim, bool causal, bool cross) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* source = cross ? graph.placeholder("key_value_states") : hidden;
  Node* mask = graph.optional_placeholder("attention_mask");
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  graph.output(plain_attention(graph, {.head_dim = head_dim, .scale = scale, .causal = causal},
                               hidden, source, mask));
  return graph.build();
}

/// hidden + last(...(first(hidden)))
Node* residual(GraphBuilder& graph, Node* hidden, const std::vector<const char*>& children) {
  Node* x = hidden;
  for (const char* child : children) x = graph.call_module(child, {x});
  return graph.call_op("aten::add.Tensor", {hidden, x});
}

ir::GraphPtr layer_graph(bool decodes) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* encoded = decodes ? graph.placeholder("encoder_hidden_states") : nullptr;
  Node* mask = graph.optional_placeholder("attention_mask");
  const auto add = [&](Node* x) { return graph.call_op("aten::add.Tensor", {hidden, x}); };
  hidden = add(
      graph.call_module("self_attn", {graph.call_module("self_attn_layer_norm", {hidden}), mask}));
  if (decodes) {
    Node* normed = graph.call_module("encoder_attn_layer_norm", {hidden});
    hidden = add(graph.call_module("encoder_attn", {normed, encoded}));
  }
  graph.output(residual(graph, hidden, {"final_layer_norm", "fc1", "activation_fn", "fc2"}));
  return graph.build();
}

ir::GraphPtr encoder_graph(size_t layers, at::ScalarType dtype) {
  GraphBuilder graph;
  Node* x = cast(graph, graph.placeholder("input_features"), dtype);
  for (const char* convolution : {"conv1", "conv2"}) {
    x = graph.call_op("aten::gelu", {graph.call_module(convolution, {x})});
  }
  x = graph.call_op("aten::transpose.int", {x, 1, 2});
  x = graph.call_op("aten::add.Tensor", {x, graph.get_attr("embed_positions.weight")});
  for (size_t layer = 0; layer < layers; ++layer) {
    x = graph.call_module(fmt::format("layers.{}", layer), {x});
  }
  graph.output(graph.call_module("layer_norm", {x}));
  return graph.build();
}

ir::GraphPtr decoder_graph(size_t layers) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* encoded = graph.placeholder("encoder_hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* positions = graph.call_op("lathe::position_ids", {ids});
  Node* x = graph.call_op("aten::add.Tensor", {graph.call_module("embed_tokens", {ids}),
                                               graph.call_module("embed_positions", {positions})});
  for (size_t layer = 0; layer < layers; ++layer) {
    x = graph.call_module(fmt::format("layers.{}", layer), {x, encoded, mask});
  }
  graph.output(graph.call_module("layer_norm", {x}));
  return graph.build();
}

/// The root, with the stacks below `prefix` and perhaps a head.
ir::GraphPtr root_graph(const std::string& prefix) {
  GraphBuilder graph;
  Node* features = graph.placeholder("input_features");
  Node* ids = graph.placeholder("decoder_input_ids");
  Node* mask = graph.optional_placeholder("decoder_attention_mask");
  Node* encoded = graph.call_module(join_path(prefix, "encoder"), {features});
  Node* hidden = graph.call_module(join_path(prefix, "decoder"), {ids, encoded, mask});
  if (prefix.empty()) {
    graph.named_output({{"last_hidden_state", hidden}, {"encoder_last_hidden_state", encoded}});
  } else {
    graph.named_output({{"logits", graph.call_module("proj_out", {hidden})},
                        {"encoder_last_hidden_state", encoded}});
  }
  return graph.build();
}

class WhisperBuilder {
 public:
  WhisperBuilder(const WhisperConfig& config, Weights& weights)
      : config_(config), leaves_(weights) {}

  ModulePtr build(bool tied) {
    const bool headed = !config_.prefix.empty();
    ModulePtr root = composite(headed ? "WhisperForConditionalGeneration" : "WhisperModel",
                               root_graph(config_.prefix));
    ir::Module& owner =
        headed ? root->add_child(config_.prefix, ir::make_module("WhisperModel")) : *root;
    owner.add_child("encoder", encoder(join_path(config_.prefix, "encoder")));
    ir::Module& decoding =
        owner.add_child("decoder", decoder(join_path(config_.prefix, "decoder")));
    if (headed) {
      root->add_child("proj_out",
                      tied ? tied_linear(decoding.at("embed_tokens"))
                           : leaves_.linear("proj_out", config_.vocab_size, config_.hidden, false));
    }
    return root;
  }

 private:
  ModulePtr norm(const std::string& path) { return leaves_.layer_norm(path, config_.hidden, kEps); }

  ModulePtr attention(const std::string& path, const StackConfig& stack,
                      const ir::GraphPtr& graph) {
    const int64_t hidden = config_.hidden;
    ModulePtr module = composite("WhisperAttention", graph);
    module->attributes.set("num_heads", stack.heads);
    module->attributes.set("num_key_value_heads", stack.heads);
    module->attributes.set("head_dim", stack.head_dim);
    for (const char* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      const bool bias = std::string_view(name) != "k_proj";
      module->add_child(name, leaves_.linear(join_path(path, name), hidden, hidden, bias));
    }
    return module;
  }

  struct LayerGraphs {
    ir::GraphPtr layer, self_attention, cross_attention;
  };

  ModulePtr layer(const std::string& path, const StackConfig& stack, const LayerGraphs& graphs) {
    const bool decodes = graphs.cross_attention != nullptr;
    ModulePtr module =
        composite(decodes ? "WhisperDecoderLayer" : "WhisperEncoderLayer", graphs.layer);
    module->is_block = true;
    module->add_child("self_attn", attention(path + ".self_attn", stack, graphs.self_attention));
    module->add_child("self_attn_layer_norm", norm(path + ".self_attn_layer_norm"));
    if (decodes) {
      module->add_child("encoder_attn",
                        attention(path + ".encoder_attn", stack, graphs.cross_attention));
      module->add_child("encoder_attn_layer_norm", norm(path + ".encoder_attn_layer_norm"));
    }
    module->add_child("fc1", leaves_.linear(path + ".fc1", stack.inner, config_.hidden, true));
    module->add_child("activation_fn", make_activation(config_.activation));
    module->add_child("fc2", leaves_.linear(path + ".fc2", config_.hidden, stack.inner, true));
    module->add_child("final_layer_norm", norm(path + ".final_layer_norm"));
    return module;
  }

  void add_layers(ir::Module& module, const std::string& path, const StackConfig& stack,
                  const LayerGraphs& graphs) {
    ir::Module& list = module.add_child("layers", ir::make_module("ModuleList"));
    for (size_t i = 0; i < stack.layers; ++i) {
      list.add_child(std::to_string(i), layer(fmt::format("{}.layers.{}", path, i), stack, graphs));
    }
  }

  ModulePtr encoder(const std::string& path) {
    const StackConfig& stack = config_.encoder;
    const int64_t hidden = config_.hidden;
    ModulePtr module =
        composite("WhisperEncoder", encoder_graph(stack.layers, leaves_.weights().dtype()));
    module->add_child(
        "conv1",
        leaves_.convolution(
            path + ".conv1",
            {.out = hidden, .in = config_.mel_bins, .kernel = {3}, .stride = {1}, .padding = {1}}));
    module->add_child(
        "conv2", leaves_.convolution(
                     path + ".conv2",
                     {.out = hidden, .in = hidden, .kernel = {3}, .stride = {2}, .padding = {1}}));
    module->add_child("embed_positions",
                      leaves_.embedding(path + ".embed_positions", stack.positions, hidden));
    add_layers(
        *module, path, stack,
        {layer_graph(false), whisper_attention_graph(stack.head_dim, false, false), nullptr});
    module->add_child("layer_norm", norm(path + ".layer_norm"));
    return module;
  }

  ModulePtr decoder(const std::string& path) {
    const StackConfig& stack = config_.decoder;
    ModulePtr module = composite("WhisperDecoder", decoder_graph(stack.layers));
    module->add_child("embed_tokens", leaves_.embedding(path + ".embed_tokens", config_.vocab_size,
                                                        config_.hidden));
    module->add_child("embed_positions", leaves_.embedding(path + ".embed_positions",
                                                           stack.positions, config_.hidden));
    add_layers(*module, path, stack,
               {layer_graph(true), whisper_attention_graph(stack.head_dim, true, false),
                whisper_attention_graph(stack.head_dim, false, true)});
    module->add_child("layer_norm", norm(path + ".layer_norm"));
    return module;
  }

  const WhisperConfig& config_;
  LeafModules leaves_;
};

void check_layers(const WhisperConfig& config, const Weights& weights) {
  weights.check_count("encoder_layers", static_cast<int64_t>(config.encoder.layers));
  weights.check_count("decoder_layers", static_cast<int64_t>(config.decoder.layers));
}

}  // namespace

void build_whisper(const ConfigReader& config, Weights& weights, ir::Model& model) {
  const WhisperConfig own = read_whisper(config);
  check_layers(own, weights);
  model.root = WhisperBuilder(own, weights).build(false);
  model.vocab_size = own.vocab_size;
}

void build_whisper_generation(const ConfigReader& config, Weights& weights, ir::Model& model) {
  WhisperConfig own = read_whisper(config);
  own.prefix = "model";
  check_layers(own, weights);
  const bool tied = tie_parameter(own.tied, "proj_out.weight", "model.decoder.embed_tokens.weight",
                                  weights, model);
  model.root = WhisperBuilder(own, weights).build(tied);
  model.vocab_size = own.vocab_size;
}

}  // namespace lathe::frontends
