#pragma once

#include <vector>

#include "ir/graph.h"

namespace lathe::frontends {

/// Children called one after the other, each on what the one before it gives.
ir::GraphPtr chain_graph(const std::vector<const char*>& children);

/// The same on the first token of hidden_states [B, T, K].
ir::GraphPtr first_token_graph(const std::vector<const char*>& children);

/// x in `dtype`: images and spectrograms come in float32, whatever the model's dtype.
ir::Node* cast(ir::GraphBuilder& graph, ir::Node* x, at::ScalarType dtype);

/// The root of a language model: (input_ids, attention_mask or None) -> "logits"; the children at
/// the paths of the model, which gives hidden states, and the head.
ir::GraphPtr language_model_graph(const char* model, const char* head);

}  // namespace lathe::frontends
