// BERT and RoBERTa: encoders with learned positions and norms after the residual.
#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/bert_graphs.h"
#include "frontends/huggingface/builders.h"
#include "frontends/huggingface/config_values.h"
#include "frontends/huggingface/leaf_modules.h"
#include "frontends/huggingface/small_graphs.h"
#include "frontends/huggingface/tied_parameters.h"

namespace lathe::frontends {
namespace {

using ir::join_path;
using ir::ModulePtr;

int64_t read_labels(const ConfigReader& config) {
  if (const auto names = config.find_object("id2label")) {
    return static_cast<int64_t>(names->json().size());
  }
  return config.size_or("num_labels", 2);
}

BertConfig read_bert(const ConfigReader& config, const char* family, BertHead head) {
  config.refuse_flag("add_cross_attention", "there is no encoder to attend to");
  const std::string positions = config.text_or("position_embedding_type", "absolute");
  if (positions != "absolute") config.unsupported("position_embedding_type", "supported: absolute");
  BertConfig own;
  own.family = family;
  own.roberta = own.family == "Roberta";
  own.head = head;
  if (head != BertHead::kNone) own.prefix = own.roberta ? "roberta" : "bert";
  own.vocab_size = config.size("vocab_size");
  own.hidden = config.size("hidden_size");
  own.inner = config.size("intermediate_size");
  own.heads = config.size("num_attention_heads");
  own.head_dim = read_head_dim(config, own.hidden, "num_attention_heads");
  own.positions = config.size("max_position_embeddings");
  own.types = config.size_or("type_vocab_size", 2);
  own.padding = config.count_or("pad_token_id", own.roberta ? 1 : 0);
  own.layers = read_layer_count(config, "num_hidden_layers");
  own.eps = config.positive_or("layer_norm_eps", 1e-12);
  own.activation = read_activation(config, "hidden_act", "gelu");
  own.causal = config.flag_or("is_decoder", false);
  own.tied = config.flag_or("tie_word_embeddings", true);
  own.labels = read_labels(config);
  return own;
}

class BertBuilder {
 public:
  BertBuilder(const BertConfig& config, Weights& weights, ir::Model& model)
      : config_(config),
        leaves_(weights),
        model_(model),
        self_graph_(bert_self_attention_graph(config)),
        attention_graph_(bert_attention_graph()),
        layer_graph_(bert_layer_graph()),
        add_norm_graph_(bert_output_graph()),
        intermediate_graph_(chain_graph({"dense", "intermediate_act_fn"})) {}

  ModulePtr build() {
    switch (config_.head) {
      case BertHead::kMaskedLm:
        return config_.roberta ? roberta_masked_lm() : bert_masked_lm();
      case BertHead::kClassifier:
        return classifier();
      case BertHead::kNone:
        break;
    }
    return base_model(bert_model_graph(config_.pools), config_.pools);
  }

 private:
  ModulePtr make(const char* role, ir::GraphPtr graph) const {
    return composite(config_.family + role, std::move(graph));
  }

  std::string at(const std::string& path) const { return join_path(config_.prefix, path); }

  ModulePtr dense(const std::string& path, int64_t out, int64_t in) {
    return leaves_.linear(path, out, in, true);
  }

  ModulePtr norm(const std::string& path) {
    return leaves_.layer_norm(path, config_.hidden, config_.eps);
  }

  ModulePtr embeddings(const std::string& path) {
    ModulePtr module = make("Embeddings", bert_embeddings_graph(config_));
    const auto add = [&](const char* name, int64_t rows) {
      module->add_child(name, leaves_.embedding(join_path(path, name), rows, config_.hidden));
    };
    add("word_embeddings", config_.vocab_size);
    add("position_embeddings", config_.positions);
    add("token_type_embeddings", config_.types);
    module->add_child("LayerNorm", norm(join_path(path, "LayerNorm")));
    return module;
  }

  ModulePtr output(const char* role, const std::string& path, int64_t in) {
    ModulePtr module = make(role, add_norm_graph_);
    module->add_child("dense", dense(join_path(path, "dense"), config_.hidden, in));
    module->add_child("LayerNorm", norm(join_path(path, "LayerNorm")));
    return module;
  }

  ModulePtr attention(const std::string& path) {
    ModulePtr self = make("SelfAttention", self_graph_);
    self->attributes.set("num_heads", config_.heads);
    self->attributes.set("num_key_value_heads", config_.heads);
    self->attributes.set("head_dim", config_.head_dim);
    for (const char* name : {"query", "key", "value"}) {
      self->add_child(name, dense(path + ".self." + name, config_.hidden, config_.hidden));
    }
    ModulePtr module = make("Attention", attention_graph_);
    module->add_child("self", std::move(self));
    module->add_child("output", output("SelfOutput", path + ".output", config_.hidden));
    return module;
  }

  ModulePtr layer(const std::string& path) {
    ModulePtr module = make("Layer", layer_graph_);
    module->is_block = true;
    module->add_child("attention", attention(path + ".attention"));
    ModulePtr intermediate = make("Intermediate", intermediate_graph_);
    intermediate->add_child("dense",
                            dense(path + ".intermediate.dense", config_.inner, config_.hidden));
    intermediate->add_child("intermediate_act_fn", make_activation(config_.activation));
    module->add_child("intermediate", std::move(intermediate));
    module->add_child("output", output("Output", path + ".output", config_.inner));
    return module;
  }

  ModulePtr base_model(ir::GraphPtr graph, bool pools) {
    ModulePtr model = make("Model", std::move(graph));
    model->add_child("embeddings", embeddings(at("embeddings")));
    ModulePtr encoder = make("Encoder", bert_encoder_graph(config_.layers));
    ir::Module& layers = encoder->add_child("layer", ir::make_module("ModuleList"));
    for (size_t i = 0; i < config_.layers; ++i) {
      layers.add_child(std::to_string(i), layer(at(fmt::format("encoder.layer.{}", i))));
    }
    model->add_child("encoder", std::move(encoder));
    if (pools) {
      ModulePtr pooler = make("Pooler", first_token_graph({"dense", "activation"}));
      pooler->add_child("dense", dense(at("pooler.dense"), config_.hidden, config_.hidden));
      pooler->add_child("activation", make_activation("tanh"));
      model->add_child("pooler", std::move(pooler));
    }
    return model;
  }

  ModulePtr headed(const char* role, const char* head, bool pools) {
    ModulePtr root = make(role, bert_headed_graph(config_.prefix, head));
    root->add_child(config_.prefix, base_model(bert_inner_model_graph(pools), pools));
    return root;
  }

  /// Gives `head` the projection to the vocabulary, tied to the embedding, as "decoder", and the
  /// "bias" that it has too: one parameter under two names, or, untied, two of which the
  /// projection's counts.
  void add_vocabulary(const ir::Module& root, ir::Module& head, const std::string& path,
                      const std::string& bias_path) {
    const std::string embedding = at("embeddings.word_embeddings.weight");
    const bool tied =
        tie_parameter(config_.tied, path + ".weight", embedding, leaves_.weights(), model_);
    ModulePtr module = tied ? tied_linear(root.at(at("embeddings.word_embeddings")))
                            : leaves_.linear(path, config_.vocab_size, config_.hidden, false);
    const std::string own_bias = path + ".bias";
    Weights& weights = leaves_.weights();
    const bool differs = !config_.tied && weights.has(own_bias) && weights.has(bias_path) &&
                         !weights.tie(own_bias, bias_path);
    if (!differs) tie_parameter(true, own_bias, bias_path, weights, model_);
    const ir::ParameterPtr bias = weights.take(bias_path, {config_.vocab_size});
    head.parameters.set("bias", bias);
    module->parameters.set("bias", differs ? weights.take(own_bias, {config_.vocab_size}) : bias);
    head.add_child("decoder", std::move(module));
  }

  ModulePtr bert_masked_lm() {
    leaves_.weights().drop("cls.seq_relationship.weight", "the next-sentence head is not used");
    leaves_.weights().drop("cls.seq_relationship.bias", "the next-sentence head is not used");
    leaves_.weights().drop("bert.pooler.dense.weight", "the masked language model has no pooler");
    leaves_.weights().drop("bert.pooler.dense.bias", "the masked language model has no pooler");
    ModulePtr root = headed("ForMaskedLM", "cls", false);
    const std::string path = "cls.predictions.transform";
    ModulePtr transform =
        make("PredictionHeadTransform", chain_graph({"dense", "transform_act_fn", "LayerNorm"}));
    transform->add_child("dense", dense(path + ".dense", config_.hidden, config_.hidden));
    transform->add_child("transform_act_fn", make_activation(config_.activation));
    transform->add_child("LayerNorm", norm(path + ".LayerNorm"));
    ModulePtr head = make("LMPredictionHead", chain_graph({"transform", "decoder"}));
    head->add_child("transform", std::move(transform));
    add_vocabulary(*root, *head, "cls.predictions.decoder", "cls.predictions.bias");
    root->add_child("cls", make("OnlyMLMHead", chain_graph({"predictions"})))
        .add_child("predictions", std::move(head));
    return root;
  }

  ModulePtr roberta_masked_lm() {
    leaves_.weights().drop("roberta.pooler.dense.weight",
                           "the masked language model has no pooler");
    leaves_.weights().drop("roberta.pooler.dense.bias", "the masked language model has no pooler");
    ModulePtr root = headed("ForMaskedLM", "lm_head", false);
    ModulePtr head = make("LMHead", chain_graph({"dense", "activation", "layer_norm", "decoder"}));
    head->add_child("dense", dense("lm_head.dense", config_.hidden, config_.hidden));
    head->add_child("activation", make_activation("gelu"));
    head->add_child("layer_norm", norm("lm_head.layer_norm"));
    add_vocabulary(*root, *head, "lm_head.decoder", "lm_head.bias");
    root->add_child("lm_head", std::move(head));
    return root;
  }

  ModulePtr classifier() {
    ModulePtr root = headed("ForSequenceClassification", "classifier", !config_.roberta);
    if (!config_.roberta) {
      root->add_child("classifier", dense("classifier", config_.labels, config_.hidden));
      return root;
    }
    ModulePtr head =
        make("ClassificationHead", first_token_graph({"dense", "activation", "out_proj"}));
    head->add_child("dense", dense("classifier.dense", config_.hidden, config_.hidden));
    head->add_child("activation", make_activation("tanh"));
    head->add_child("out_proj", dense("classifier.out_proj", config_.labels, config_.hidden));
    root->add_child("classifier", std::move(head));
    return root;
  }

  const BertConfig& config_;
  LeafModules leaves_;
  ir::Model& model_;
  ir::GraphPtr self_graph_;
  ir::GraphPtr attention_graph_;
  ir::GraphPtr layer_graph_;
  ir::GraphPtr add_norm_graph_;
  ir::GraphPtr intermediate_graph_;
};

/// Norms of the first checkpoints have gamma and beta.
std::string new_norm_name(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (name.ends_with("LayerNorm.gamma")) return name.substr(0, dot) + ".weight";
  if (name.ends_with("LayerNorm.beta")) return name.substr(0, dot) + ".bias";
  return name;
}

void build(const ConfigReader& config, const char* family, BertHead head, Weights& weights,
           ir::Model& model) {
  BertConfig own = read_bert(config, family, head);
  weights.check_count("num_hidden_layers", static_cast<int64_t>(own.layers));
  weights.rename(new_norm_name);
  own.pools = weights.has("pooler.dense.weight");
  model.root = BertBuilder(own, weights, model).build();
  model.vocab_size = own.vocab_size;
}

}  // namespace

void build_bert(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, "Bert", BertHead::kNone, weights, model);
}
void build_bert_masked_lm(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, "Bert", BertHead::kMaskedLm, weights, model);
}
void build_bert_classifier(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, "Bert", BertHead::kClassifier, weights, model);
}
void build_roberta(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, "Roberta", BertHead::kNone, weights, model);
}
void build_roberta_masked_lm(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, "Roberta", BertHead::kMaskedLm, weights, model);
}
void build_roberta_classifier(const ConfigReader& config, Weights& weights, ir::Model& model) {
  build(config, "Roberta", BertHead::kClassifier, weights, model);
}

}  // namespace lathe::frontends
