#include "frontends/huggingface/decoder.h"

#include <c10/util/BFloat16.h>

#include <map>

#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/attention_graphs.h"
#include "frontends/huggingface/decoder_graphs.h"
#include "frontends/huggingface/expert_modules.h"
#include "frontends/huggingface/leaf_modules.h"
#include "frontends/huggingface/rope.h"
#include "frontends/huggingface/tied_parameters.h"

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
      : config_(config), leaves_(weights), mlp_graph_(mlp_graph(config.mlp.kind, config.mlp.size)) {
    if (config.experts) experts_.emplace(config, leaves_);
  }

  ModulePtr build(bool tied) {
    ModulePtr root = make("ForCausalLM", causal_lm_graph(config_));
    ModulePtr model = make_model("model");
    ModulePtr head =
        tied ? tied_linear(model->at("embed_tokens"))
             : leaves_.linear("lm_head", config_.vocab_size, config_.hidden_size, false);
    root->add_child("model", std::move(model));
    root->add_child("lm_head", std::move(head));
    return root;
  }

 private:
  ModulePtr make(const char* role, ir::GraphPtr graph) const {
    return composite(config_.family + role, std::move(graph));
  }

  ModulePtr norm(const std::string& path, int64_t size) {
    const NormConfig& norm = config_.norm;
    return norm.layer_norm ? leaves_.layer_norm(path, size, norm.eps)
                           : leaves_.rms_norm(path, size, norm.eps, norm.weight_offset);
  }

  int64_t rotary_size(const RopeSettings& rope) const {
    return config_.latent_attention ? config_.latent_attention->rotary_dim
                                    : rope.rotary_size(config_.attention.head_dim);
  }

  ModulePtr rotary_embedding(const RopeSettings& rope) {
    return make_rotary_embedding(rope, rotary_size(rope), leaves_.weights().source_name());
  }

  const ir::GraphPtr& attention_graph_for(std::optional<int64_t> window) {
    ir::GraphPtr& graph = attention_graphs_[window];
    if (!graph) {
      graph = config_.latent_attention
                  ? latent_attention_graph(*config_.latent_attention)
                  : attention_graph(config_.attention, rotary_size(config_.rope), window);
    }
    return graph;
  }

  ModulePtr attention(const std::string& path, std::optional<int64_t> window) {
    ModulePtr module = make("Attention", attention_graph_for(window));
    const AttentionConfig& own = config_.attention;
    const int64_t hidden = config_.hidden_size;
    const int64_t query = own.num_heads * own.head_dim;
    const int64_t key = own.num_key_value_heads * own.head_dim;
    module->attributes.set("num_heads", own.num_heads);
    module->attributes.set("num_key_value_heads", own.num_key_value_heads);
    module->attributes.set("head_dim", own.head_dim);
    if (window) module->attributes.set("sliding_window", *window);
    const auto project = [&](const char* name, int64_t out, int64_t in, bool bias) {
      module->add_child(name, leaves_.linear(join_path(path, name), out, in, bias));
    };
    if (own.fused_qkv) {
      project("qkv_proj", query + 2 * key, hidden, own.qkv_bias);
    } else {
      project("q_proj", query, hidden, own.qkv_bias);
      project("k_proj", key, hidden, own.qkv_bias);
      project("v_proj", key, hidden, own.qkv_bias);
    }
    project("o_proj", hidden, query, own.output_bias);
    if (own.norm != QueryKeyNorm::kNone) {
      const bool whole = own.norm == QueryKeyNorm::kWhole;
      module->add_child("q_norm", norm(join_path(path, "q_norm"), whole ? query : own.head_dim));
      module->add_child("k_norm", norm(join_path(path, "k_norm"), whole ? key : own.head_dim));
    }
    if (own.sinks) {
      module->parameters.set("sinks",
                             leaves_.weights().take(join_path(path, "sinks"), {own.num_heads}));
    }
    return module;
  }

  ModulePtr latent_attention(const std::string& path, const LatentAttentionConfig& own) {
    ModulePtr module = make("Attention", attention_graph_for(std::nullopt));
    const int64_t hidden = config_.hidden_size;
    const int64_t query = own.num_heads * (own.plain_dim + own.rotary_dim);
    module->attributes.set("num_heads", own.num_heads);
    module->attributes.set("num_key_value_heads", own.num_heads);
    module->attributes.set("head_dim", own.plain_dim + own.rotary_dim);
    const auto project = [&](const char* name, int64_t out, int64_t in, bool bias) {
      module->add_child(name, leaves_.linear(join_path(path, name), out, in, bias));
    };
    const auto compressed_norm = [&](const char* name, int64_t size) {
      module->add_child(name, leaves_.rms_norm(join_path(path, name), size, own.norm_eps, 0.0));
    };
    if (own.query_rank) {
      project("q_a_proj", *own.query_rank, hidden, own.bias);
      compressed_norm("q_a_layernorm", *own.query_rank);
      project("q_b_proj", query, *own.query_rank, false);
    } else {
      project("q_proj", query, hidden, false);
    }
    project("kv_a_proj_with_mqa", own.key_value_rank + own.rotary_dim, hidden, own.bias);
    compressed_norm("kv_a_layernorm", own.key_value_rank);
    project("kv_b_proj", own.num_heads * (own.plain_dim + own.value_dim), own.key_value_rank,
            false);
    project("o_proj", hidden, own.num_heads * own.value_dim, own.bias);
    return module;
  }

  ModulePtr mlp(const std::string& path) {
    const MlpConfig& own = config_.mlp;
    const int64_t hidden = config_.hidden_size;
    ModulePtr module = make("MLP", mlp_graph_);
    const auto project = [&](const char* name, int64_t out, int64_t in) {
      module->add_child(name, leaves_.linear(join_path(path, name), out, in, own.bias));
    };
    switch (own.kind) {
      case MlpKind::kGated:
        project("gate_proj", own.size, hidden);
        project("up_proj", own.size, hidden);
        project("down_proj", hidden, own.size);
        module->add_child("act_fn", make_activation(own.activation));
        break;
      case MlpKind::kFusedGated:
        project("gate_up_proj", 2 * own.size, hidden);
        project("down_proj", hidden, own.size);
        module->add_child("activation_fn", make_activation(own.activation));
        break;
      case MlpKind::kPlain:
        project("c_fc", own.size, hidden);
        project("c_proj", hidden, own.size);
        module->add_child("act", make_activation(own.activation));
        break;
    }
    return module;
  }

  std::vector<const char*> layer_norms() const {
    switch (config_.norm_placement) {
      case NormPlacement::kBefore:
        return {"input_layernorm", "post_attention_layernorm"};
      case NormPlacement::kAfter:
        return {"post_attention_layernorm", "post_feedforward_layernorm"};
      case NormPlacement::kBoth:
        break;
    }
    return {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
            "post_feedforward_layernorm"};
  }

  ModulePtr decoder_layer(const std::string& path, const LayerConfig& layer) {
    const std::string mlp_name = layer.sparse ? config_.experts->block : "mlp";
    ir::GraphPtr& graph = layer_graphs_[mlp_name];
    if (!graph) graph = decoder_layer_graph(config_, mlp_name);
    ModulePtr module = make("DecoderLayer", graph);
    module->is_block = true;
    const std::string attention_path = join_path(path, "self_attn");
    module->add_child("self_attn", config_.latent_attention
                                       ? latent_attention(attention_path, *config_.latent_attention)
                                       : attention(attention_path, layer.window));
    const std::string mlp_path = join_path(path, mlp_name);
    module->add_child(mlp_name, layer.sparse ? experts_->build(path) : mlp(mlp_path));
    for (const char* name : layer_norms()) {
      module->add_child(name, norm(join_path(path, name), config_.hidden_size));
    }
    return module;
  }

  double embedding_multiplier() {
    const double value = config_.embedding_multiplier;
    if (!config_.rounds_embedding_multiplier) return value;
    if (leaves_.weights().dtype() != at::kBFloat16) return static_cast<float>(value);
    return static_cast<float>(c10::BFloat16(static_cast<float>(value)));
  }

  void add_passive_layers(Module& layers, const std::string& path) {
    for (size_t i = config_.layers.size();; ++i) {
      ModulePtr layer = leaves_.passive(fmt::format("{}.layers.{}", path, i));
      if (!layer) return;
      layers.add_child(std::to_string(i), std::move(layer));
    }
  }

  ModulePtr make_model(const std::string& path) {
    ModulePtr module = make("Model", decoder_model_graph(config_, embedding_multiplier()));
    module->add_child("embed_tokens", leaves_.embedding(join_path(path, "embed_tokens"),
                                                        config_.vocab_size, config_.hidden_size));
    Module& layers = module->add_child("layers", ir::make_module("ModuleList"));
    for (size_t i = 0; i < config_.layers.size(); ++i) {
      const std::string name = std::to_string(i);
      layers.add_child(name,
                       decoder_layer(fmt::format("{}.layers.{}", path, name), config_.layers[i]));
    }
    if (config_.keeps_more_layers) add_passive_layers(layers, path);
    module->add_child("norm", norm(join_path(path, "norm"), config_.hidden_size));
    module->add_child("rotary_emb", rotary_embedding(config_.rope));
    if (config_.local_rope) {
      module->add_child("rotary_emb_local", rotary_embedding(*config_.local_rope));
    }
    return module;
  }

  const DecoderConfig& config_;
  LeafModules leaves_;
  std::optional<ExpertModules> experts_;
  std::map<std::optional<int64_t>, ir::GraphPtr> attention_graphs_;
  std::map<std::string, ir::GraphPtr> layer_graphs_;  // by the MLP's name
  ir::GraphPtr mlp_graph_;
};

}  // namespace

void build_decoder(const DecoderConfig& config, Weights& weights, ir::Model& model) {
  weights.check_count("num_hidden_layers", static_cast<int64_t>(config.layers.size()));
  const bool tied = tie_parameter(config.tie_word_embeddings, kHead, kEmbedding, weights, model);
  model.root = DecoderBuilder(config, weights).build(tied);
  model.vocab_size = config.vocab_size;
}

}  // namespace lathe::frontends
