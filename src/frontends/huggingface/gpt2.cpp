// GPT-2: learned positions, and linear layers whose weights are [K, N] (Conv1D).
#include <cmath>
#include <map>

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

constexpr const char* kEmbedding = "transformer.wte.weight";
constexpr const char* kHead = "lm_head.weight";

struct Gpt2Config {
  int64_t vocab_size, positions, hidden, inner, heads, head_dim;
  size_t layers;
  double eps;
  std::string activation;
  bool scales = true;            // scores by 1 / sqrt(head_dim)
  bool scales_by_layer = false;  // and by 1 / (layer + 1)
  bool tied = true;
};

Gpt2Config read_gpt2(const ConfigReader& config) {
  config.refuse_flag("add_cross_attention", "there is no encoder to attend to");
  Gpt2Config own;
  own.vocab_size = config.size("vocab_size");
  own.positions = config.size("n_positions");
  own.hidden = config.size("n_embd");
  own.inner = config.size_or("n_inner", 4 * own.hidden);
  own.heads = config.size("n_head");
  own.head_dim = read_head_dim(config, own.hidden, "n_head");
  own.layers = read_layer_count(config, "n_layer");
  own.eps = config.positive_or("layer_norm_epsilon", 1e-5);
  own.activation = read_activation(config, "activation_function", "gelu_new");
  own.scales = config.flag_or("scale_attn_weights", true);
  own.scales_by_layer = config.flag_or("scale_attn_by_inverse_layer_idx", false);
  own.tied = config.flag_or("tie_word_embeddings", true);
  return own;
}

ir::GraphPtr attention_graph(const Gpt2Config& config, double scale) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* all = graph.call_module("c_attn", {hidden});
  const auto part = [&](int64_t index) {
    Node* own = slice_last(graph, all, index * config.hidden, (index + 1) * config.hidden);
    return split_heads(graph, own, config.head_dim);
  };
  Node* query = part(0);
  Node* key = part(1);
  Node* value = part(2);
  Node* mixed =
      graph.call_op("lathe::attention", {query, key, value, mask, true, scale, ir::Argument()});
  graph.output(graph.call_module("c_proj", {merge_heads(graph, mixed)}));
  return graph.build();
}

ir::GraphPtr block_graph() {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* attended = graph.call_module("attn", {graph.call_module("ln_1", {hidden}), mask});
  Node* middle = graph.call_op("aten::add.Tensor", {hidden, attended});
  Node* mapped = graph.call_module("mlp", {graph.call_module("ln_2", {middle})});
  graph.output(graph.call_op("aten::add.Tensor", {middle, mapped}));
  return graph.build();
}

ir::GraphPtr model_graph(size_t layers) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* positions = graph.call_op("lathe::position_ids", {ids});
  Node* tokens = graph.call_module("wte", {ids});
  Node* hidden = graph.call_op("aten::add.Tensor", {tokens, graph.call_module("wpe", {positions})});
  for (size_t layer = 0; layer < layers; ++layer) {
    hidden = graph.call_module(fmt::format("h.{}", layer), {hidden, mask});
  }
  graph.output(graph.call_module("ln_f", {hidden}));
  return graph.build();
}

class Gpt2Builder {
 public:
  Gpt2Builder(const Gpt2Config& config, Weights& weights)
      : config_(config),
        leaves_(weights),
        block_graph_(block_graph()),
        mlp_graph_(chain_graph({"c_fc", "act", "c_proj"})) {}

  ModulePtr build(bool tied) {
    ModulePtr root = composite("GPT2LMHeadModel", language_model_graph("transformer", "lm_head"));
    ModulePtr model = composite("GPT2Model", model_graph(config_.layers));
    const std::string path = "transformer";
    model->add_child("wte", leaves_.embedding(path + ".wte", config_.vocab_size, config_.hidden));
    model->add_child("wpe", leaves_.embedding(path + ".wpe", config_.positions, config_.hidden));
    ir::Module& blocks = model->add_child("h", ir::make_module("ModuleList"));
    for (size_t i = 0; i < config_.layers; ++i) {
      blocks.add_child(std::to_string(i), block(fmt::format("{}.h.{}", path, i), i));
    }
    model->add_child("ln_f", norm(path + ".ln_f"));
    ModulePtr head = tied ? tied_linear(model->at("wte"))
                          : leaves_.linear("lm_head", config_.vocab_size, config_.hidden, false);
    root->add_child("transformer", std::move(model));
    root->add_child("lm_head", std::move(head));
    return root;
  }

 private:
  ModulePtr norm(const std::string& path) {
    return leaves_.layer_norm(path, config_.hidden, config_.eps);
  }

  const ir::GraphPtr& attention_graph_of(size_t layer) {
    double scale = config_.scales ? 1.0 / std::sqrt(static_cast<double>(config_.head_dim)) : 1.0;
    if (config_.scales_by_layer) scale /= static_cast<double>(layer + 1);
    ir::GraphPtr& graph = attention_graphs_[scale];
    if (!graph) graph = attention_graph(config_, scale);
    return graph;
  }

  ModulePtr block(const std::string& path, size_t layer) {
    ModulePtr module = composite("GPT2Block", block_graph_);
    module->is_block = true;
    ModulePtr attention = composite("GPT2Attention", attention_graph_of(layer));
    attention->attributes.set("num_heads", config_.heads);
    attention->attributes.set("num_key_value_heads", config_.heads);
    attention->attributes.set("head_dim", config_.head_dim);
    attention->add_child(
        "c_attn", leaves_.conv1d_linear(path + ".attn.c_attn", config_.hidden, 3 * config_.hidden));
    attention->add_child(
        "c_proj", leaves_.conv1d_linear(path + ".attn.c_proj", config_.hidden, config_.hidden));
    ModulePtr mlp = composite("GPT2MLP", mlp_graph_);
    mlp->add_child("c_fc",
                   leaves_.conv1d_linear(path + ".mlp.c_fc", config_.hidden, config_.inner));
    mlp->add_child("c_proj",
                   leaves_.conv1d_linear(path + ".mlp.c_proj", config_.inner, config_.hidden));
    mlp->add_child("act", make_activation(config_.activation));
    module->add_child("ln_1", norm(path + ".ln_1"));
    module->add_child("attn", std::move(attention));
    module->add_child("ln_2", norm(path + ".ln_2"));
    module->add_child("mlp", std::move(mlp));
    return module;
  }

  const Gpt2Config& config_;
  LeafModules leaves_;
  ir::GraphPtr block_graph_;
  ir::GraphPtr mlp_graph_;
  std::map<double, ir::GraphPtr> attention_graphs_;  // by scale
};

}  // namespace

void build_gpt2(const ConfigReader& config, Weights& weights, ir::Model& model) {
  const Gpt2Config own = read_gpt2(config);
  weights.check_count("n_layer", static_cast<int64_t>(own.layers));
  weights.add_prefix("transformer.", "wte.weight");
  const bool tied = tie_parameter(own.tied, kHead, kEmbedding, weights, model);
  model.root = Gpt2Builder(own, weights).build(tied);
  model.vocab_size = own.vocab_size;
}

}  // namespace lathe::frontends
