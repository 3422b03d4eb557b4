#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "formats/format.h"
#include "formats/scale.h"

namespace lathe::exporting {

/// How one module's weight [N, K] is stored: known before any calibration.
struct LayerScheme {
  std::string path;  // "model.layers.0.self_attn.q_proj"
  formats::Format weight;
  std::optional<formats::Format> input;  // of the input quantizer; none: weight-only
  bool input_dynamic = false;            // inputs scaled per token or per MX block: no input_scale
  bool pre_quant_scale = false;          // a scale [K] that no earlier module could take in
  bool exact_scales = false;  // scales are those of a source: the file must hold them as float32
};

/// The scales of one attention's KV cache.
struct KvScheme {
  std::string key_path;    // "model.layers.0.self_attn.k_proj": beside which its scale is named
  std::string value_path;  // "model.layers.0.self_attn.v_proj"
  formats::Format format;
  std::string path = {};   // of the attention: "model.layers.0.self_attn"
  bool has_scales = true;  // without them readers assume 1
  /// Shapes of the biases, if the cache is quantized around them.
  std::optional<std::vector<int64_t>> key_bias = {};
  std::optional<std::vector<int64_t>> value_bias = {};

  bool is_affine() const { return key_bias.has_value(); }
};

/// What becomes of a model's weights.
struct QuantizationScheme {
  std::vector<LayerScheme> layers;
  std::vector<KvScheme> kv;
  /// Paths of modules that could have been quantized and are not: lm_head, model.embed_tokens, MoE
  /// routers.
  std::vector<std::string> unquantized;
};

struct ExportOptions {
  std::string dialect = "modelopt";
  std::string target;  // who must be able to load it: see Target
  size_t max_shard_bytes = 5'000'000'000;
  std::string producer_version;
  /// What else must be equal for an interrupted export to be resumed: recipe, calibration data.
  std::string fingerprint;
};

/// One layer's scales, final. Export packs with them and never changes them.
struct LayerValues {
  /// kFloat32: values, one per cell of the weight's grid. kE4M3TwoLevel: global_scale. Scales of
  /// blocks (codes; values of formats with more than one scale) are taken from here or, if there
  /// are none, computed from the weight while it is packed.
  formats::Scales weight_scales;
  std::optional<float> input_scale;  // exactly if the inputs are quantized and not dynamic
  at::Tensor pre_quant_scale;        // [K]; exactly if the scheme says so
};

struct KvValues {
  float key_scale;
  float value_scale;
  at::Tensor key_bias = {};  // exactly if the scheme says so
  at::Tensor value_bias = {};
};

}  // namespace lathe::exporting
