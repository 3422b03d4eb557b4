#pragma once

#include "frontends/huggingface/decoder_config.h"
#include "frontends/huggingface/weights.h"
#include "ir/model.h"

namespace lathe::frontends {

/// Builds the tree and its graphs as transformers names them and binds the parameters; fills root,
/// vocab_size and tied. Layers of one kind share their graphs.
///   inputs: input_ids [B, T], attention_mask [B, T] (optional: 1 for tokens, 0 for padding);
///   positions count from 0; output: logits [B, T, V]
void build_decoder(const DecoderConfig& config, Weights& weights, ir::Model& model);

}  // namespace lathe::frontends
