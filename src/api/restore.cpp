#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "api/model_impl.h"
#include "base/error.h"
#include "quantization/kv_cache.h"
#include "quantization/transposed_linears.h"

namespace lathe::api {
namespace {

using quantization::QuantizerFormat;

/// The input format of a checkpoint: one static scale, or NVFP4's global scale over dynamic blocks.
void restore_input(quantization::TensorQuantizer& quantizer,
                   const frontends::QuantizedLinear& linear) {
  QuantizerFormat format{.format = *linear.input_format, .dynamic = true};
  if (!linear.input_scale) {
    quantizer.restore(format, std::nullopt);
    return;
  }
  const formats::ScaleKind kind = format.format.scale;
  formats::Scales scales = formats::Scales::make(kind, kind == formats::ScaleKind::kFloat32 ? 1 : 0,
                                                 *linear.input_scale);
  if (kind == formats::ScaleKind::kFloat32) {
    format.dynamic = false;
    scales.values[0] = *linear.input_scale;
  }
  quantizer.restore(format, std::move(scales));
}

std::optional<formats::Format> cache_format(const std::string& algo, const std::string& path) {
  if (algo.empty()) return std::nullopt;
  if (algo == "FP8") return formats::kFp8;
  if (algo == "NVFP4" || algo == "NVFP4_AFFINE") return formats::kNvfp4;
  throw_user("{}: kv_cache_quant_algo {} is not supported, only FP8, NVFP4 and NVFP4_AFFINE", path,
             algo);
}

void restore_bias(quantization::TensorQuantizer& quantizer, const ir::ParameterPtr& bias) {
  if (bias == nullptr)
    throw_data("{}: the bias of a cache is there for keys or values alone", quantizer.name());
  quantizer.set_bias(bias->tensor().to(at::kFloat));
}

/// A checkpoint holds what is said of keys and values beside the attention, or beside the modules
/// that make them.
const frontends::QuantizedCache* find_cache(const frontends::QuantizedSource& source,
                                            const std::string& attention,
                                            const std::string& producer) {
  for (const std::string& path : {attention, producer}) {
    const auto found = std::ranges::find(source.caches, path, &frontends::QuantizedCache::path);
    if (found != source.caches.end()) return &*found;
  }
  return nullptr;
}

void restore_cache(const quantization::QuantizedAttention& attention, const formats::Format& format,
                   const frontends::QuantizedSource& source) {
  const auto* key = find_cache(source, attention.path, attention.key_producer);
  const auto* value = find_cache(source, attention.path, attention.value_producer);
  const float k_scale = key != nullptr ? key->k_scale.value_or(1.0f) : 1.0f;
  const float v_scale = value != nullptr ? value->v_scale.value_or(1.0f) : 1.0f;
  const ir::ParameterPtr k_bias = key != nullptr ? key->k_bias : nullptr;
  const ir::ParameterPtr v_bias = value != nullptr ? value->v_bias : nullptr;
  QuantizerFormat how{.format = format, .dynamic = format.scale != formats::ScaleKind::kFloat32};
  if (k_bias || v_bias) how.bias = quantization::Bias{.axes = {-4, -2}};
  attention.key->restore(how, quantization::kv_quantizer_scales(format, k_scale));
  attention.value->restore(how, quantization::kv_quantizer_scales(format, v_scale));
  if (!how.bias) return;
  restore_bias(*attention.key, k_bias);
  restore_bias(*attention.value, v_bias);
}

}  // namespace

Quantization restore_quantizers(ir::Model& model, const frontends::QuantizedSource& source) {
  quantization::QuantConfig none;
  none.entries.push_back({.quantizer_name = "*", .enable = false});
  std::vector<std::string> problems;
  Quantization result{.config_name = source.quant_algo, .algorithm = "none"};
  std::unordered_set<std::string_view> packed;
  for (const auto& linear : source.linears) packed.insert(linear.path);
  quantization::transpose_linears(*model.root,
                                  [&](const std::string& path) { return packed.contains(path); });
  result.conversion = convert(*model.root, quantization::QuantizerResolver(none), {}, problems);
  check_internal(problems.empty(), "disabled quantizers have problems");
  std::unordered_map<std::string, const quantization::QuantizedLayer*> layers;
  for (const auto& layer : result.conversion.layers) layers.emplace(layer.path, &layer);
  for (const frontends::QuantizedLinear& linear : source.linears) {
    if (!linear.input_format && !linear.pre_quant_scale) continue;
    const auto found = layers.find(linear.path);
    const quantization::QuantizedLayer* layer = found == layers.end() ? nullptr : found->second;
    if (layer == nullptr || layer->input == nullptr)
      throw_user("{}: {} is quantized and is no Linear of the model", model.source, linear.path);
    if (linear.input_format) restore_input(*layer->input, linear);
    if (linear.pre_quant_scale) layer->input->set_pre_quant_scale(linear.pre_quant_scale->tensor());
  }
  if (const auto format = cache_format(source.kv_cache_quant_algo, model.source)) {
    for (const auto& attention : result.conversion.attentions)
      restore_cache(attention, *format, source);
  }
  return result;
}

}  // namespace lathe::api
