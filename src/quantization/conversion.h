#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/module.h"
#include "ops/leaf_table.h"
#include "quantization/config/resolve.h"
#include "quantization/lift_layers.h"
#include "quantization/tensor_quantizer.h"

namespace lathe::quantization {

/// A module whose weight can be quantized (QuantLinear, QuantConv2d, QuantEmbedding), and its
/// quantizers. In a model without a graph, where nothing is run, that of the weight is the module's
/// own state, and those of activations are null if they are off.
struct QuantizedLayer {
  std::string path;
  ir::Module* module = nullptr;
  TensorQuantizer* input = nullptr;  // null for embeddings as well
  TensorQuantizer* weight = nullptr;
  TensorQuantizer* output = nullptr;

  const ir::ParameterPtr& parameter() const { return *module->parameters.find("weight"); }
};

/// An attention whose queries, keys, values and probabilities can be quantized, with the paths of
/// the modules that make keys and values.
struct QuantizedAttention {
  std::string path;
  TensorQuantizer* query = nullptr;
  TensorQuantizer* key = nullptr;
  TensorQuantizer* value = nullptr;
  TensorQuantizer* probabilities = nullptr;  // only where an entry configures it: see convert
  std::string key_producer;  // "model.layers.0.self_attn.k_proj"; "" if no module is found
  std::string value_producer;

  /// Those that there are.
  std::vector<TensorQuantizer*> quantizers() const;
};

/// What a conversion put into a model.
struct Conversion {
  std::vector<QuantizedLayer> layers;  // in the order of the tree
  std::vector<QuantizedAttention> attentions;
  /// Layers that read one value, by index into `layers`; every layer is in exactly one group.
  std::vector<std::vector<size_t>> groups;
  /// Layers of experts whose inputs have one scale beside (see expert_inputs.h), by index.
  std::vector<std::vector<size_t>> expert_inputs;
  /// Layers whose weights lie in one tensor of the checkpoint, and share what scale all of it has.
  std::vector<std::vector<size_t>> fused;
  /// Layers whose quantizers are off although they were asked for.
  std::vector<LeftAlone> left_alone;

  std::vector<TensorQuantizer*> quantizers() const;
  const QuantizedLayer* find(std::string_view path) const;
};

/// A rewrite of one leaf type: the composite that replaces it.
struct ConversionRule {
  std::string_view leaf_type;
  std::string_view composite_type;
  bool has_input_quantizer;
  /// The dimension of a weight that its output channels are, where weights are left as they lie.
  std::optional<int64_t> channel_axis = {};
};

/// Which leaf types are converted.
enum class LayerKinds {
  kMatrices,         // Linear and Embedding: what checkpoints can say is quantized
  kWithConvolutions  // and Conv1d-3d, ConvTranspose1d-3d, Conv1D: what programs can say
};

/// The table of leaf types that can be quantized.
std::span<const ConversionRule> conversion_rules();
/// Whether the node is an attention: an operator whose first arguments are query, key and value.
bool is_attention(const ir::Node& node);

/// Rewrites the tree: each leaf of the table becomes its composite (QuantLinear = input_quantizer,
/// weight_quantizer, aten::linear, output_quantizer), and q_bmm_quantizer, k_bmm_quantizer,
/// v_bmm_quantizer go before each attention. An attention for which an entry with a cfg switches
/// p_bmm_quantizer on is taken apart, so that its probabilities go through one. What each quantizer
/// does is the resolver's to say, but embeddings, tied heads and routers stay as they are unless an
/// entry says that it means them: see ReservedLayers. Problems of quantizers (not supported
/// formats) are appended to `problems`; such quantizers are left disabled. `name_groups`: the
/// groups of a model without a graph. Layers that lift_layers made are converted like any.
Conversion convert(ir::Module& root, const QuantizerResolver& resolver,
                   const std::vector<std::vector<std::string>>& name_groups,
                   std::vector<std::string>& problems, LayerKinds kinds = LayerKinds::kMatrices);

/// The leaf table with TensorQuantizer.
ops::LeafTable leaf_table();

}  // namespace lathe::quantization
