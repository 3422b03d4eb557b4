#include "frontends/huggingface/bert_graphs.h"

#include <fmt/format.h>

#include <cmath>

#include "frontends/huggingface/attention_graphs.h"

namespace lathe::frontends {
namespace {

using ir::GraphBuilder;
using ir::Node;

struct BertInputs {
  Node* ids;
  Node* mask;
  Node* types;
};

BertInputs inputs_of(GraphBuilder& graph) {
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  return {ids, mask, graph.optional_placeholder("token_type_ids")};
}

Node* encode(GraphBuilder& graph, const BertInputs& inputs) {
  Node* embedded = graph.call_module("embeddings", {inputs.ids, inputs.types});
  return graph.call_module("encoder", {embedded, inputs.mask});
}

}  // namespace

ir::GraphPtr bert_embeddings_graph(const BertConfig& config) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* types = graph.optional_placeholder("token_type_ids");
  Node* kinds = graph.call_op("lathe::or_full", {types, ids, 0});
  Node* positions = nullptr;
  if (config.roberta) {  // padding has its own position, tokens count on from there
    Node* tokens = graph.call_op("aten::ne.Scalar", {ids, config.padding});
    Node* counts = graph.call_op("aten::cumsum", {tokens, 1});
    Node* steps = graph.call_op("aten::mul.Tensor", {counts, tokens});
    positions = graph.call_op("aten::add.Scalar", {steps, config.padding});
  } else {
    positions = graph.call_op("lathe::position_ids", {ids});
  }
  Node* sum =
      graph.call_op("aten::add.Tensor", {graph.call_module("word_embeddings", {ids}),
                                         graph.call_module("token_type_embeddings", {kinds})});
  sum = graph.call_op("aten::add.Tensor",
                      {sum, graph.call_module("position_embeddings", {positions})});
  graph.output(graph.call_module("LayerNorm", {sum}));
  return graph.build();
}

ir::GraphPtr bert_self_attention_graph(const BertConfig& config) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  const PlainAttention attention{.query = "query",
                                 .key = "key",
                                 .value = "value",
                                 .output = nullptr,
                                 .head_dim = config.head_dim,
                                 .scale = 1.0 / std::sqrt(static_cast<double>(config.head_dim)),
                                 .causal = config.causal};
  graph.output(plain_attention(graph, attention, hidden, hidden, mask));
  return graph.build();
}

ir::GraphPtr bert_output_graph() {
  GraphBuilder graph;
  Node* x = graph.placeholder("hidden_states");
  Node* residual = graph.placeholder("input_tensor");
  Node* sum = graph.call_op("aten::add.Tensor", {graph.call_module("dense", {x}), residual});
  graph.output(graph.call_module("LayerNorm", {sum}));
  return graph.build();
}

ir::GraphPtr bert_attention_graph() {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* mixed = graph.call_module("self", {hidden, mask});
  graph.output(graph.call_module("output", {mixed, hidden}));
  return graph.build();
}

ir::GraphPtr bert_layer_graph() {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* attended = graph.call_module("attention", {hidden, mask});
  Node* inner = graph.call_module("intermediate", {attended});
  graph.output(graph.call_module("output", {inner, attended}));
  return graph.build();
}

ir::GraphPtr bert_encoder_graph(size_t layers) {
  GraphBuilder graph;
  Node* hidden = graph.placeholder("hidden_states");
  Node* mask = graph.optional_placeholder("attention_mask");
  for (size_t layer = 0; layer < layers; ++layer) {
    hidden = graph.call_module(fmt::format("layer.{}", layer), {hidden, mask});
  }
  graph.output(hidden);
  return graph.build();
}

ir::GraphPtr bert_model_graph(bool pools) {
  GraphBuilder graph;
  Node* hidden = encode(graph, inputs_of(graph));
  std::vector<std::pair<std::string, ir::Argument>> outputs = {{"last_hidden_state", hidden}};
  if (pools) outputs.emplace_back("pooler_output", graph.call_module("pooler", {hidden}));
  graph.named_output(std::move(outputs));
  return graph.build();
}

ir::GraphPtr bert_inner_model_graph(bool pools) {
  GraphBuilder graph;
  Node* hidden = encode(graph, inputs_of(graph));
  graph.output(pools ? graph.call_module("pooler", {hidden}) : hidden);
  return graph.build();
}

ir::GraphPtr bert_headed_graph(const std::string& model, const char* head) {
  GraphBuilder graph;
  const BertInputs inputs = inputs_of(graph);
  Node* hidden = graph.call_module(model, {inputs.ids, inputs.mask, inputs.types});
  graph.named_output({{"logits", graph.call_module(head, {hidden})}});
  return graph.build();
}

}  // namespace lathe::frontends
