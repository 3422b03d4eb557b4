#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "frontends/huggingface/config.h"
#include "frontends/huggingface/rope_settings.h"

namespace lathe::frontends {

struct NormConfig {
  bool layer_norm = false;  // LayerNorm with a bias, otherwise RMSNorm
  double eps = 1e-6;
  double weight_offset = 0.0;  // RMSNorm: 1 for the (1 + weight) norms
};

/// What q and k of one attention are normed over.
enum class QueryKeyNorm { kNone, kHeads, kWhole };

/// Attention with heads of its own or shared keys and values.
struct AttentionConfig {
  int64_t num_heads = 0;
  int64_t num_key_value_heads = 0;
  int64_t head_dim = 0;
  double scale = 0.0;      // of q k^T
  bool fused_qkv = false;  // one qkv_proj for q_proj, k_proj and v_proj
  bool qkv_bias = false;
  bool output_bias = false;  // o_proj
  QueryKeyNorm norm = QueryKeyNorm::kNone;
  std::optional<double> softcap;
  bool sinks = false;  // a parameter "sinks": one score a head
};

/// Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434): q and k, v come from
/// low-rank projections, and a part of each head alone is rotated.
struct LatentAttentionConfig {
  int64_t num_heads = 0;
  std::optional<int64_t> query_rank;  // nothing: one q_proj
  int64_t key_value_rank = 0;
  int64_t plain_dim = 0;   // qk_nope_head_dim
  int64_t rotary_dim = 0;  // qk_rope_head_dim
  int64_t value_dim = 0;   // v_head_dim
  bool bias = false;
  bool interleaved = true;  // pairs of neighbours are rotated
  double scale = 0.0;
  double norm_eps = 1e-6;  // of the norms within, whatever rms_norm_eps says
};

enum class MlpKind {
  kGated,       // down_proj(act_fn(gate_proj(x)) * up_proj(x))
  kFusedGated,  // gate and up are one gate_up_proj
  kPlain,       // c_proj(act(c_fc(x)))
};

struct MlpConfig {
  MlpKind kind = MlpKind::kGated;
  int64_t size = 0;
  std::string activation = "silu";
  bool bias = false;
};

/// Mixture of experts in the place of the MLP.
struct ExpertsConfig {
  int64_t num_experts = 0;
  int64_t size = 0;           // of each expert
  int64_t shared_size = 0;    // of shared_experts, which see every token; 0: there are none
  std::string block = "mlp";  // the module's name in the layer
  std::string router = "gate";
  bool router_bias = false;
  bool router_float32 = false;
  bool router_correction = false;  // e_score_correction_bias
  // Of TopKRouter.
  std::string score = "softmax";
  int64_t top_k = 1;
  bool normalize = false;
  double scaling = 1.0;
  int64_t groups = 1;
  int64_t top_groups = 1;
  // Names of an expert's linears in the checkpoint.
  std::string gate_name = "gate_proj";
  std::string up_name = "up_proj";
  std::string down_name = "down_proj";
  /// gpt-oss: one gate_up_proj with biases, rows of gate and up in turn, and a clamped activation.
  bool interleaved = false;
  double alpha = 1.702;
  double limit = 7.0;
};

/// Where the norms of a layer stand.
enum class NormPlacement {
  kBefore,  // input_layernorm, post_attention_layernorm
  kAfter,   // post_attention_layernorm, post_feedforward_layernorm, before the residual is added
  kBoth,    // four of them
};

struct LayerConfig {
  std::optional<int64_t> window;  // nothing: full attention
  bool local_rope = false;        // takes DecoderConfig::local_rope
  bool sparse = false;            // experts instead of the MLP
};

/// A decoder-only language model with rotary positions (Llama and its kin): what they differ in.
struct DecoderConfig {
  std::string family;  // of the class names: "Llama" makes LlamaForCausalLM, LlamaModel,
                       // LlamaAttention, ...
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  std::vector<LayerConfig> layers;
  AttentionConfig attention;
  std::optional<LatentAttentionConfig> latent_attention;  // instead of `attention`
  MlpConfig mlp;
  std::optional<ExpertsConfig> experts;
  NormConfig norm;
  NormPlacement norm_placement = NormPlacement::kBefore;
  RopeSettings rope;
  std::optional<RopeSettings> local_rope;
  bool tie_word_embeddings = false;
  /// Tensors of layers behind the last (multi-token prediction) are kept, without being run.
  bool keeps_more_layers = false;
  double embedding_multiplier = 1.0;
  bool rounds_embedding_multiplier = false;  // to the embedding's dtype
  double residual_multiplier = 1.0;          // of what attention and MLP add
  double logits_divisor = 1.0;
  std::optional<double> logits_softcap;
};

/// What an architecture takes where config.json says nothing.
struct DecoderDefaults {
  std::string family;
  std::optional<int64_t> num_key_value_heads;  // nothing: as many as heads
  std::optional<int64_t> head_dim;             // nothing: hidden_size / num_attention_heads
  double norm_eps = 1e-6;
  const char* norm_eps_key = "rms_norm_eps";
  const char* activation = "silu";
  const char* activation_key = "hidden_act";
  bool tie_word_embeddings = false;
  RopeDefaults rope = {};
  bool reads_rope = true;  // false: the architecture's own reader fills `rope`
};

/// Reads the keys that all of them share; sizes are checked against each other (DataError) and
/// activation and rope type must be supported (UserError). All layers have full attention and an
/// MLP, no projection has a bias.
DecoderConfig read_decoder_config(const ConfigReader& config, const DecoderDefaults& defaults);

/// Sets the windows of layers: `layer_types` (or use_sliding_window, max_window_layers) and
/// sliding_window of Qwen.
void read_qwen_windows(const ConfigReader& config, DecoderConfig& decoder);

/// `layer_types` as "is sliding": one entry a layer; `absent(layer)` where the key is.
std::vector<bool> read_sliding_layers(const ConfigReader& config, size_t num_layers,
                                      bool (*absent)(size_t layer));

/// `sliding_window` of the layers that slide, which need one: DataError for null.
void read_window_of_some(const ConfigReader& config, const std::vector<bool>& is_sliding,
                         int64_t absent, DecoderConfig& decoder);

/// `sliding_window` of all layers; `absent` is that of a config without the key, null is full
/// attention.
void read_window_of_all(const ConfigReader& config, std::optional<int64_t> absent,
                        DecoderConfig& decoder);

/// num_experts, num_experts_per_tok: checked against each other.
ExpertsConfig read_experts(const ConfigReader& config, const char* count_key,
                           std::optional<int64_t> default_count, int64_t default_top_k);

}  // namespace lathe::frontends
