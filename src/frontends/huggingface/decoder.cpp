#include "frontends/huggingface/decoder.h"

#include <map>

#include "base/error.h"
#include "base/log.h"
#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/decoder_graphs.h"

namespace lathe::frontends {
namespace {

using ir::join_path;
using ir::Module;
using ir::ModulePtr;

constexpr const char* kEmbedding = "model.embed_tokens.weight";
constexpr const char* kHead = "lm_head.weight";

/// Makes the modules of one model; the layers' graphs are made once for each kind.
class DecoderBuilder {
 public:
  DecoderBuilder(const DecoderConfig& config, Weights& weights)
      : config_(config),
        weights_(weights),
        mlp_graph_(gated_mlp_graph()),
        layer_graph_(decoder_layer_graph()) {}

  ModulePtr build(bool tied) {
    ModulePtr root = make("ForCausalLM", causal_lm_graph());
    ModulePtr model = make_model("model");
    ModulePtr head = ir::make_module("Linear");
    head->parameters.set("weight",
                         tied ? *model->at("embed_tokens").parameters.find("weight")
                              : weights_.take(kHead, {config_.vocab_size, config_.hidden_size}));
    root->add_child("model", std::move(model));
    root->add_child("lm_head", std::move(head));
    return root;
  }

 private:
  ModulePtr make(const char* role, ir::GraphPtr graph) const {
    ModulePtr module = ir::make_module(config_.family + role);
    module->graph = std::move(graph);
    return module;
  }

  ModulePtr linear(const std::string& path, int64_t out, int64_t in, bool bias) {
    ModulePtr module = ir::make_module("Linear");
    module->parameters.set("weight", weights_.take(join_path(path, "weight"), {out, in}));
    if (bias) module->parameters.set("bias", weights_.take(join_path(path, "bias"), {out}));
    return module;
  }

  ModulePtr rms_norm(const std::string& path, int64_t size) {
    ModulePtr module = ir::make_module("RMSNorm");
    module->attributes.set("eps", config_.rms_norm_eps);
    module->parameters.set("weight", weights_.take(join_path(path, "weight"), {size}));
    return module;
  }

  ModulePtr embedding(const std::string& path) {
    ModulePtr module = ir::make_module("Embedding");
    module->parameters.set("weight", weights_.take(join_path(path, "weight"),
                                                   {config_.vocab_size, config_.hidden_size}));
    return module;
  }

  ModulePtr rotary_embedding() const {
    const Rope rope = make_rope(config_.rope, config_.head_dim);
    ModulePtr module = ir::make_module("RotaryEmbedding");
    module->attributes.set("attention_scaling", rope.attention_scaling);
    module->buffers.set("inv_freq", std::make_shared<ir::Parameter>(rope.inv_freq));
    return module;
  }

  const ir::GraphPtr& attention_graph_for(std::optional<int64_t> window) {
    ir::GraphPtr& graph = attention_graphs_[window];
    if (!graph) {
      graph = attention_graph(
          {.head_dim = config_.head_dim, .qk_norm = config_.qk_norm, .sliding_window = window});
    }
    return graph;
  }

  ModulePtr attention(const std::string& path, std::optional<int64_t> window) {
    const int64_t hidden = config_.hidden_size;
    const int64_t query = config_.num_heads * config_.head_dim;
    const int64_t key = config_.num_key_value_heads * config_.head_dim;
    ModulePtr module = make("Attention", attention_graph_for(window));
    module->attributes.set("num_heads", config_.num_heads);
    module->attributes.set("num_key_value_heads", config_.num_key_value_heads);
    module->attributes.set("head_dim", config_.head_dim);
    if (window) module->attributes.set("sliding_window", *window);
    const auto project = [&](const char* name, int64_t out, int64_t in, bool bias) {
      module->add_child(name, linear(join_path(path, name), out, in, bias));
    };
    project("q_proj", query, hidden, config_.qkv_bias);
    project("k_proj", key, hidden, config_.qkv_bias);
    project("v_proj", key, hidden, config_.qkv_bias);
    project("o_proj", hidden, query, config_.output_bias);
    if (config_.qk_norm) {
      module->add_child("q_norm", rms_norm(join_path(path, "q_norm"), config_.head_dim));
      module->add_child("k_norm", rms_norm(join_path(path, "k_norm"), config_.head_dim));
    }
    return module;
  }

  ModulePtr gated_mlp(const std::string& path) {
    const int64_t hidden = config_.hidden_size;
    const int64_t inner = config_.intermediate_size;
    ModulePtr module = make("MLP", mlp_graph_);
    const auto project = [&](const char* name, int64_t out, int64_t in) {
      module->add_child(name, linear(join_path(path, name), out, in, config_.mlp_bias));
    };
    project("gate_proj", inner, hidden);
    project("up_proj", inner, hidden);
    project("down_proj", hidden, inner);
    module->add_child("act_fn", make_activation(config_.activation));
    return module;
  }

  ModulePtr decoder_layer(const std::string& path, std::optional<int64_t> window) {
    const int64_t hidden = config_.hidden_size;
    ModulePtr module = make("DecoderLayer", layer_graph_);
    module->is_block = true;
    const auto norm = [&](const char* name) {
      module->add_child(name, rms_norm(join_path(path, name), hidden));
    };
    module->add_child("self_attn", attention(join_path(path, "self_attn"), window));
    module->add_child("mlp", gated_mlp(join_path(path, "mlp")));
    norm("input_layernorm");
    norm("post_attention_layernorm");
    return module;
  }

  ModulePtr make_model(const std::string& path) {
    ModulePtr module = make("Model", decoder_model_graph(config_.num_layers));
    module->add_child("embed_tokens", embedding(join_path(path, "embed_tokens")));
    Module& layers = module->add_child("layers", ir::make_module("ModuleList"));
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const std::string name = std::to_string(i);
      layers.add_child(name, decoder_layer(fmt::format("{}.layers.{}", path, name),
                                           config_.sliding_windows[static_cast<size_t>(i)]));
    }
    module->add_child("norm", rms_norm(join_path(path, "norm"), config_.hidden_size));
    module->add_child("rotary_emb", rotary_embedding());
    return module;
  }

  const DecoderConfig& config_;
  Weights& weights_;
  std::map<std::optional<int64_t>, ir::GraphPtr> attention_graphs_;
  ir::GraphPtr mlp_graph_;
  ir::GraphPtr layer_graph_;
};

/// Each layer has tensors, so a number of layers above that of tensors is an error before any work
/// is done for it.
void check_num_layers(const DecoderConfig& config, const Weights& weights) {
  const auto tensors = static_cast<int64_t>(weights.store().size());
  if (config.num_layers > tensors) {
    throw_data("{}: num_hidden_layers is {}, but there are only {} tensors", weights.source_name(),
               config.num_layers, tensors);
  }
}

}  // namespace

void build_decoder(const DecoderConfig& config, Weights& weights, ir::Model& model) {
  check_num_layers(config, weights);
  const bool tied = config.tie_word_embeddings && weights.tie(kHead, kEmbedding);
  if (config.tie_word_embeddings && !tied) {
    spdlog::warn("{}: tie_word_embeddings is set, but {} and {} differ: they are not tied",
                 weights.source_name(), kHead, kEmbedding);
    model.config["tie_word_embeddings"] = false;
  }
  model.root = DecoderBuilder(config, weights).build(tied);
  if (tied) model.tied.emplace_back(kHead, kEmbedding);
  model.vocab_size = config.vocab_size;
}

}  // namespace lathe::frontends
