#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "frontends/huggingface/config.h"
#include "frontends/huggingface/rope.h"
#include "frontends/huggingface/weights.h"
#include "ir/model.h"

namespace lathe::frontends {

/// What the dense decoder-only language models (Llama and its kin) differ in.
struct DecoderConfig {
  std::string family;  // of the class names: "Llama" makes LlamaForCausalLM, LlamaModel,
                       // LlamaAttention, ...
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  double rms_norm_eps = 1e-6;
  std::string activation = "silu";  // hidden_act
  bool qkv_bias = false;
  bool output_bias = false;  // o_proj
  bool mlp_bias = false;
  bool qk_norm = false;  // RMSNorm over each head of q and k
  bool tie_word_embeddings = false;
  RopeSettings rope;
  /// By layer; nothing is full attention.
  std::vector<std::optional<int64_t>> sliding_windows;
};

/// What an architecture takes where config.json says nothing.
struct DecoderDefaults {
  std::string family;
  std::optional<int64_t> num_key_value_heads;  // nothing: as many as heads
  std::optional<int64_t> head_dim;             // nothing: hidden_size / num_attention_heads
};

/// Reads the keys that all of them share; sizes are checked against each other (DataError) and
/// activation and rope type must be supported (UserError). All layers have full attention, no
/// projection has a bias.
DecoderConfig read_decoder_config(const ConfigReader& config, const DecoderDefaults& defaults);

/// `layer_types` (or use_sliding_window, max_window_layers) and sliding_window of Qwen: one entry a
/// layer.
std::vector<std::optional<int64_t>> read_layer_windows(const ConfigReader& config,
                                                       int64_t num_layers);

/// Builds the tree and its graphs as transformers names them and binds the parameters; fills root,
/// vocab_size and tied. Layers of one kind share their graphs.
///   inputs: input_ids [B, T], attention_mask [B, T] (optional: 1 for tokens, 0 for padding);
///   positions count from 0 output: logits [B, T, V]
void build_decoder(const DecoderConfig& config, Weights& weights, ir::Model& model);

}  // namespace lathe::frontends
