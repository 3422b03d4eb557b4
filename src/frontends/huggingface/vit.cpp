// ViT: an image cut into patches, an encoder with norms first.
#include <cmath>

#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/attention_graphs.h"
#include "frontends/huggingface/builders.h"
#include "frontends/huggingface/config_values.h"
#include "frontends/huggingface/leaf_modules.h"
#include "frontends/huggingface/small_graphs.h"

namespace lathe::frontends {
namespace {

using ir::Argument;
using ir::GraphBuilder;
using ir::join_path;
using ir::ModulePtr;
using ir::Node;

struct Size {
  int64_t height, width;
};

struct VitConfig {
  std::string prefix;  // "", or "vit" below a classifier
  Size image, patch;
  int64_t channels, hidden, inner, heads, head_dim, pooled;
  size_t layers;
  double eps;
  std::string activation, pooler_activation;
  bool qkv_bias, pools = false;
  int64_t labels = 0;

  int64_t patches() const { return (image.height / patch.height) * (image.width / patch.width); }
};

/// One number, or height and width.
Size read_size(const ConfigReader& config, const char* key, int64_t absent) {
  const bool is_list = config.has(key) && config.json()[key].is_array();
  if (!is_list) {
    const int64_t side = config.size_or(key, absent);
    return {side, side};
  }
  const std::vector<int64_t> sides = *config.find_counts(key);
  if (sides.size() != 2 || sides[0] == 0 || sides[1] == 0) {
    config.fail(key, "a positive integer, or two of them");
  }
  return {sides[0], sides[1]};
}

VitConfig read_vit(const ConfigReader& config) {
  VitConfig own;
  own.image = read_size(config, "image_size", 224);
  own.patch = read_size(config, "patch_size", 16);
  if (own.patch.height > own.image.height || own.patch.width > own.image.width) {
    config.fail("patch_size", "at most image_size");
  }
  own.channels = config.size_or("num_channels", 3);
  own.hidden = config.size("hidden_size");
  own.inner = config.size("intermediate_size");
  own.heads = config.size("num_attention_heads");
  own.head_dim = read_head_dim(config, own.hidden, "num_attention_heads");
  own.pooled = config.size_or("pooler_output_size", own.hidden);
  own.layers = read_layer_count(config, "num_hidden_layers");
  own.eps = config.positive_or("layer_norm_eps", 1e-12);
  own.activation = read_activation(config, "hidden_act", "gelu");
  own.pooler_activation = read_activation(config, "pooler_act", "tanh");
  own.qkv_bias = config.flag_or("qkv_bias", true);
  const auto names = config.find_object("id2label");
  own.labels = names ? static_cast<int64_t>(names->json().size()) : config.size_or("num_labels", 2);
  return own;
}

ir::GraphPtr patches_graph(at::ScalarType dtype) {
  GraphBuilder graph;
  Node* pixels = cast(graph, graph.placeholder("pixel_values"), dtype);
  Node* grid = graph.call_module("projection", {pixels});
  Node* rows = graph.call_op("aten::flatten.using_ints", {grid, 2, 3});
  graph.output(graph.call_op("aten::transpose.int", {rows, 1, 2}));
  return graph.build();
}

ir::GraphPtr embeddings_graph() {
  GraphBuilder graph;
  Node* pixels = graph.placeholder("pixel_values");
  Node* patches = graph.call_module("patch_embeddings", {pixels});
  Node* first = graph.call_op("aten::slice.Tensor", {patches, 1, 0, 1});
  Node* cls = graph.call_op("aten::expand_as", {graph.get_attr("cls_token"), first});
  Node* tokens = graph.call_op("aten::cat", {Argument::List{cls, patches}, 1});
  graph.output(graph.call_op("aten::add.Tensor", {tokens, graph.get_attr("position_embeddings")}));
  return graph.build();
}

ir::GraphPtr self_attention_graph(const VitConfig& config) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  const PlainAttention attention{.query = "query",
                                 .key = "key",
                                 .value = "value",
                                 .output = nullptr,
                                 .head_dim = config.head_dim,
                                 .scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim))};
  graph.output(plain_attention(graph, attention, hidden, hidden, nullptr));
  return graph.build();
}

ir::GraphPtr layer_graph() {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* attended =
      graph.call_module("attention", {graph.call_module("layernorm_before", {hidden})});
  Node* middle = graph.call_op("aten::add.Tensor", {attended, hidden});
  Node* inner = graph.call_module("intermediate", {graph.call_module("layernorm_after", {middle})});
  Node* mapped = graph.call_module("output", {inner});
  graph.output(graph.call_op("aten::add.Tensor", {mapped, middle}));
  return graph.build();
}

Node* encode(GraphBuilder& graph, Node* pixels) {
  Node* hidden = graph.call_module("encoder", {graph.call_module("embeddings", {pixels})});
  return graph.call_module("layernorm", {hidden});
}

ir::GraphPtr bare_model_graph(bool pools) {
  GraphBuilder graph;
  Node* hidden = encode(graph, graph.placeholder("pixel_values"));
  std::vector<std::pair<std::string, Argument>> outputs = {{"last_hidden_state", hidden}};
  if (pools) outputs.emplace_back("pooler_output", graph.call_module("pooler", {hidden}));
  graph.named_output(std::move(outputs));
  return graph.build();
}

ir::GraphPtr inner_model_graph() {
  GraphBuilder graph;
  graph.output(encode(graph, graph.placeholder("pixel_values")));
  return graph.build();
}

ir::GraphPtr classifier_graph() {
  GraphBuilder graph;
  Node* hidden = graph.call_module("vit", {graph.placeholder("pixel_values")});
  Node* first = graph.call_op("aten::select.int", {hidden, 1, 0});
  graph.named_output({{"logits", graph.call_module("classifier", {first})}});
  return graph.build();
}

class VitBuilder {
 public:
  VitBuilder(const VitConfig& config, Weights& weights)
      : config_(config),
        leaves_(weights),
        self_graph_(self_attention_graph(config)),
        attention_graph_(chain_graph({"attention", "output"})),
        dense_graph_(chain_graph({"dense"})),
        intermediate_graph_(chain_graph({"dense", "intermediate_act_fn"})),
        layer_graph_(layer_graph()) {}

  ModulePtr build() {
    if (config_.prefix.empty()) return model(bare_model_graph(config_.pools));
    ModulePtr root = composite("ViTForImageClassification", classifier_graph());
    root->add_child(config_.prefix, model(inner_model_graph()));
    root->add_child("classifier",
                    leaves_.linear("classifier", config_.labels, config_.hidden, true));
    return root;
  }

 private:
  std::string at(const std::string& path) const { return join_path(config_.prefix, path); }

  ModulePtr norm(const std::string& path) {
    return leaves_.layer_norm(path, config_.hidden, config_.eps);
  }

  ModulePtr dense(const char* type, const ir::GraphPtr& graph, const std::string& path, int64_t out,
                  int64_t in) {
    ModulePtr module = composite(type, graph);
    module->add_child("dense", leaves_.linear(path + ".dense", out, in, true));
    return module;
  }

  ModulePtr embeddings(const std::string& path) {
    ModulePtr module = composite("ViTEmbeddings", embeddings_graph());
    const auto take = [&](const char* name, int64_t rows) {
      module->parameters.set(
          name, leaves_.weights().take(join_path(path, name), {1, rows, config_.hidden}));
    };
    take("cls_token", 1);
    take("position_embeddings", config_.patches() + 1);
    leaves_.weights().drop(join_path(path, "mask_token"), "only pre-training masks patches");
    const std::vector<int64_t> patch = {config_.patch.height, config_.patch.width};
    module
        ->add_child("patch_embeddings",
                    composite("ViTPatchEmbeddings", patches_graph(leaves_.weights().dtype())))
        .add_child("projection", leaves_.convolution(path + ".patch_embeddings.projection",
                                                     {.out = config_.hidden,
                                                      .in = config_.channels,
                                                      .kernel = patch,
                                                      .stride = patch,
                                                      .padding = {0, 0}}));
    return module;
  }

  ModulePtr attention(const std::string& path) {
    const int64_t hidden = config_.hidden;
    ModulePtr self = composite("ViTSelfAttention", self_graph_);
    self->attributes.set("num_heads", config_.heads);
    self->attributes.set("num_key_value_heads", config_.heads);
    self->attributes.set("head_dim", config_.head_dim);
    for (const char* name : {"query", "key", "value"}) {
      self->add_child(
          name, leaves_.linear(path + ".attention." + name, hidden, hidden, config_.qkv_bias));
    }
    ModulePtr module = composite("ViTAttention", attention_graph_);
    module->add_child("attention", std::move(self));
    module->add_child("output",
                      dense("ViTSelfOutput", dense_graph_, path + ".output", hidden, hidden));
    return module;
  }

  ModulePtr layer(const std::string& path) {
    ModulePtr module = composite("ViTLayer", layer_graph_);
    module->is_block = true;
    module->add_child("layernorm_before", norm(path + ".layernorm_before"));
    module->add_child("attention", attention(path + ".attention"));
    module->add_child("layernorm_after", norm(path + ".layernorm_after"));
    module
        ->add_child("intermediate", dense("ViTIntermediate", intermediate_graph_,
                                          path + ".intermediate", config_.inner, config_.hidden))
        .add_child("intermediate_act_fn", make_activation(config_.activation));
    module->add_child("output", dense("ViTOutput", dense_graph_, path + ".output", config_.hidden,
                                      config_.inner));
    return module;
  }

  ModulePtr model(ir::GraphPtr graph) {
    ModulePtr module = composite("ViTModel", std::move(graph));
    module->add_child("embeddings", embeddings(at("embeddings")));
    GraphBuilder stack;
    Node* hidden = stack.placeholder("hidden_states");
    ModulePtr list = ir::make_module("ModuleList");
    for (size_t i = 0; i < config_.layers; ++i) {
      hidden = stack.call_module(fmt::format("layer.{}", i), {hidden});
      list->add_child(std::to_string(i), layer(at(fmt::format("encoder.layer.{}", i))));
    }
    stack.output(hidden);
    module->add_child("encoder", composite("ViTEncoder", stack.build()))
        .add_child("layer", std::move(list));
    module->add_child("layernorm", norm(at("layernorm")));
    if (config_.pools) {
      module
          ->add_child("pooler", dense("ViTPooler", first_token_graph({"dense", "activation"}),
                                      at("pooler"), config_.pooled, config_.hidden))
          .add_child("activation", make_activation(config_.pooler_activation));
    }
    return module;
  }

  const VitConfig& config_;
  LeafModules leaves_;
  ir::GraphPtr self_graph_;
  ir::GraphPtr attention_graph_;
  ir::GraphPtr dense_graph_;
  ir::GraphPtr intermediate_graph_;
  ir::GraphPtr layer_graph_;
};

void build(VitConfig config, Weights& weights, ir::Model& model) {
  weights.check_count("num_hidden_layers", static_cast<int64_t>(config.layers));
  config.pools = weights.has("pooler.dense.weight");
  model.root = VitBuilder(config, weights).build();
}

}  // namespace

void build_vit(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(read_vit(config), weights, model);
}

void build_vit_classifier(const ConfigReader& config, Weights& weights, ir::Model& model) {
  VitConfig own = read_vit(config);
  own.prefix = "vit";
  build(own, weights, model);
}

}  // namespace lathe::frontends
