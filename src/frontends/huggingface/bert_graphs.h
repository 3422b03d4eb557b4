#pragma once

#include <cstdint>
#include <string>

#include "ir/graph.h"

namespace lathe::frontends {

/// What is on top of the encoder.
enum class BertHead { kNone, kMaskedLm, kClassifier };

struct BertConfig {
  std::string family;  // "Bert", "Roberta"
  std::string prefix;  // of the encoder's tensors: "", "bert", "roberta"
  bool roberta = false;
  BertHead head = BertHead::kNone;
  int64_t vocab_size, hidden, inner, heads, head_dim, positions, types, padding;
  size_t layers;
  double eps;
  std::string activation;
  bool causal, tied;
  int64_t labels;
  bool pools = false;
};

/// (input_ids, token_type_ids or None) -> the sum of three embeddings, normed.
ir::GraphPtr bert_embeddings_graph(const BertConfig& config);

/// (hidden_states, attention_mask or None) -> the heads' values; children query, key, value.
ir::GraphPtr bert_self_attention_graph(const BertConfig& config);

/// (hidden_states, input_tensor) -> LayerNorm(dense(hidden_states) + input_tensor)
ir::GraphPtr bert_output_graph();

/// (hidden_states, attention_mask or None): children self, output.
ir::GraphPtr bert_attention_graph();

/// The same: children attention, intermediate, output.
ir::GraphPtr bert_layer_graph();

/// The same: children layer.0, layer.1, ...
ir::GraphPtr bert_encoder_graph(size_t layers);

/// The bare model: last_hidden_state and, with a pooler, pooler_output.
ir::GraphPtr bert_model_graph(bool pools);

/// The model below a head: hidden states, or the pooler's value.
ir::GraphPtr bert_inner_model_graph(bool pools);

/// The root of a model with a head: the children at `model` and `head`; output "logits".
ir::GraphPtr bert_headed_graph(const std::string& model, const char* head);

}  // namespace lathe::frontends
