#include "frontends/huggingface/small_graphs.h"

namespace lathe::frontends {
namespace {

using ir::GraphBuilder;
using ir::Node;

Node* call_all(GraphBuilder& graph, Node* x, const std::vector<const char*>& children) {
  for (const char* child : children) x = graph.call_module(child, {x});
  return x;
}

}  // namespace

ir::GraphPtr chain_graph(const std::vector<const char*>& children) {
  GraphBuilder graph;
  graph.output(call_all(graph, graph.placeholder("x"), children));
  return graph.build();
}

ir::GraphPtr first_token_graph(const std::vector<const char*>& children) {
  GraphBuilder graph;
  Node* first = graph.call_op("aten::select.int", {graph.placeholder("hidden_states"), 1, 0});
  graph.output(call_all(graph, first, children));
  return graph.build();
}

Node* cast(GraphBuilder& graph, Node* x, at::ScalarType dtype) {
  return graph.call_op("aten::to.dtype", {x, dtype});
}

ir::GraphPtr language_model_graph(const char* model, const char* head) {
  GraphBuilder graph;
  Node* ids = graph.placeholder("input_ids");
  Node* mask = graph.optional_placeholder("attention_mask");
  Node* hidden = graph.call_module(model, {ids, mask});
  graph.named_output({{"logits", graph.call_module(head, {hidden})}});
  return graph.build();
}

}  // namespace lathe::frontends
