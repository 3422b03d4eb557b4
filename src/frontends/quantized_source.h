#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/scale.h"
#include "ir/parameter.h"

namespace lathe::frontends {

/// A Linear whose weight is packed on disk. In the model its weight Parameter is the decoded value
/// in the model's dtype; the quantization of inputs and pre_quant_scale are not part of the model.
struct QuantizedLinear {
  std::string path;        // of the module: "model.layers.0.mlp.up_proj"
  std::string quant_algo;  // as the checkpoint spells it: "FP8", "NVFP4", "W4A16_AWQ", ...
  formats::Format weight_format;
  /// Nothing if the inputs are not quantized.
  std::optional<formats::Format> input_format;
  /// Scale of the input quantizer: FP8 amax / 448, INT8 amax / 127, NVFP4 amax / (6 * 448).
  std::optional<float> input_scale;
  /// [K]: inputs are multiplied by it before they are quantized. Null if there is none.
  ir::ParameterPtr pre_quant_scale;
  /// The source's tensors, that of the codes first: "<path>.weight", "<path>.weight_scale", ...
  std::vector<std::string> tensors;
  /// Reads the scales with which the same codes can be written again in weight_format. Null if the
  /// codes mean something else: zero points, columns in another order.
  std::function<formats::Scales()> scales;
  float global_scale = 1.0f;  // above the scales of NVFP4's blocks
};

/// Scales of a quantized KV cache.
struct QuantizedCache {
  std::string path;              // of the attention module: "model.layers.0.self_attn"
  std::optional<float> k_scale;  // amax / 448, for FP8 and NVFP4 alike
  std::optional<float> v_scale;
  ir::ParameterPtr k_bias;  // of affine caches, broadcasting to [B, H, T, D]; null for the others
  ir::ParameterPtr v_bias;
};

/// What a quantized checkpoint says about itself.
struct QuantizedSource {
  std::string method;                        // "modelopt", "fp8", "gptq", "awq", "mxfp4"
  std::string producer;                      // "modelopt 0.47.0"; "" if it does not say
  std::string quant_algo;                    // of the whole checkpoint: "NVFP4", "gptq 4 bits"
  std::string kv_cache_quant_algo;           // "FP8", "NVFP4", "NVFP4_AFFINE" or "" for none
  std::vector<std::string> exclude_modules;  // patterns, as written
  std::vector<QuantizedLinear> linears;      // by path
  /// Attentions that have a scale. With kv_cache_quant_algo set, the others take 1.0.
  std::vector<QuantizedCache> caches;

  /// The linear at this path, or null.
  const QuantizedLinear* find(std::string_view path) const;
};

}  // namespace lathe::frontends
