#include "api/scheme.h"

#include "base/error.h"
#include "quantization/kv_cache.h"

namespace lathe::api {
namespace {

using quantization::QuantizedAttention;
using quantization::QuantizedLayer;
using quantization::TensorQuantizer;

/// Whether the whole tensor has a scale that is known before it: a calibrated one, or a constant.
bool has_static_scale(const quantization::QuantizerFormat& format) {
  return format.uses_amax() && !format.uncalibrated;
}

exporting::LayerScheme layer_scheme(const QuantizedLayer& layer) {
  exporting::LayerScheme scheme{.path = layer.path,
                                .weight = layer.weight->format().format,
                                .exact_scales = layer.weight->keeps_scales()};
  if (layer.input != nullptr && layer.input->enabled()) {
    scheme.input = layer.input->format().format;
    scheme.input_dynamic = !has_static_scale(layer.input->format());
  }
  return scheme;
}

/// [1, heads, 1, size], of an attention that quantizes around the means of its tokens.
std::vector<int64_t> bias_shape(const Model::Impl& model, const QuantizedAttention& attention) {
  const ir::Module& module = model.root().at(attention.path);
  return {1, module.int_attribute("num_key_value_heads"), 1, module.int_attribute("head_dim")};
}

std::string cache_problem(const Model::Impl& model, const QuantizedAttention& attention) {
  const TensorQuantizer& key = *attention.key;
  const TensorQuantizer& value = *attention.value;
  if (!key.enabled() || !value.enabled())
    return fmt::format("{}: keys and values of a cache must be quantized together", attention.path);
  if (attention.key_producer.empty() || attention.value_producer.empty())
    return fmt::format(
        "{}: no linear is found that makes its keys and values: engines cache the "
        "latent value that they come of, and checkpoints say nothing of its scale",
        attention.path);
  if (!(key.format().format == value.format().format) || key.format().bias != value.format().bias)
    return fmt::format("{}: keys ({}) and values ({}) of a cache must have one format",
                       attention.path, key.describe(), value.describe());
  const std::optional<quantization::Bias>& bias = key.format().bias;
  if (bias && (bias->dynamic || bias->axes != std::vector<int>{-4, -2}))
    return fmt::format("{}: checkpoints hold a static bias over the axes -2 and -4, not {}",
                       attention.path, key.describe());
  if (bias && !model.root().at(attention.path).has_attribute("head_dim"))
    return fmt::format("{}: its heads, each of which has a bias, are not known", attention.path);
  return "";
}

void add_cache(const Model::Impl& model, const QuantizedAttention& attention,
               exporting::QuantizationScheme& scheme, std::vector<std::string>& problems) {
  for (const TensorQuantizer* quantizer : attention.quantizers()) {
    if (!quantizer->rotation().enable) continue;
    problems.push_back(fmt::format(
        "{}: no dialect of checkpoints can say that a cache is rotated; --kv-cache nvfp4 is the "
        "same without rotation",
        quantizer->name()));
  }
  if (!attention.key->enabled() && !attention.value->enabled()) return;
  std::string problem = cache_problem(model, attention);
  if (problem.empty()) {
    scheme.kv.push_back(kv_scheme(model, attention));
  } else {
    problems.push_back(std::move(problem));
  }
}

/// What of a linear's quantizers no dialect has a place for.
void refuse_unstorable(const TensorQuantizer& quantizer, std::vector<std::string>& problems) {
  if (quantizer.rotation().enable)
    problems.push_back(
        fmt::format("{}: no dialect of checkpoints can hold a rotation", quantizer.name()));
  if (quantizer.enabled() && quantizer.format().bias)
    problems.push_back(
        fmt::format("{}: no dialect of checkpoints can hold an affine bias but that of a KV cache",
                    quantizer.name()));
}

[[noreturn]] void refuse_uncalibrated(const quantization::TensorQuantizer& quantizer) {
  throw_user("{} has seen no data: calibrate before exporting", quantizer.name());
}

}  // namespace

exporting::QuantizationScheme make_scheme(const Model::Impl& model,
                                          std::vector<std::string>& problems) {
  exporting::QuantizationScheme scheme;
  const quantization::Conversion& conversion = model.quantization->conversion;
  scheme.layers.reserve(conversion.layers.size());
  for (const QuantizedLayer& layer : conversion.layers) {
    if (layer.output != nullptr && layer.output->enabled()) {
      problems.push_back(
          fmt::format("{}: no checkpoint can hold an output quantizer", layer.output->name()));
    }
    for (const TensorQuantizer* quantizer : {layer.input, layer.weight}) {
      if (quantizer != nullptr) refuse_unstorable(*quantizer, problems);
    }
    if (layer.weight->enabled()) {
      scheme.layers.push_back(layer_scheme(layer));
    } else {
      if (layer.input != nullptr && layer.input->enabled()) {
        problems.push_back(
            fmt::format("{}: no checkpoint can hold an input quantizer without one for the weight",
                        layer.input->name()));
      }
      scheme.unquantized.push_back(layer.path);
    }
  }
  for (const auto& [path, module] : ir::named_modules(model.root())) {
    if (module->type == "Conv1D" || module->type == "Float32Linear")
      scheme.unquantized.push_back(path);
  }
  for (const QuantizedAttention& attention : conversion.attentions)
    add_cache(model, attention, scheme, problems);
  return scheme;
}

std::string key_cache_path(const QuantizedAttention& attention) {
  return ir::join_path(attention.path, "k_proj");
}

exporting::KvScheme kv_scheme(const Model::Impl& model, const QuantizedAttention& attention) {
  const quantization::QuantizerFormat& format = attention.key->format();
  exporting::KvScheme scheme{.key_path = key_cache_path(attention),
                             .value_path = ir::join_path(attention.path, "v_proj"),
                             .format = format.format,
                             .path = attention.path,
                             .has_scales = !format.is_cast};
  if (format.bias) {
    scheme.key_bias = bias_shape(model, attention);
    scheme.value_bias = scheme.key_bias;
  }
  return scheme;
}

std::vector<std::string> scheme_warnings(const Model::Impl& model,
                                         const exporting::CheckpointPlan& plan) {
  std::vector<std::string> warnings;
  for (const QuantizedAttention& attention : model.quantization->conversion.attentions) {
    for (const TensorQuantizer* quantizer : {attention.query, attention.probabilities}) {
      if (quantizer == nullptr || !quantizer->enabled() || !warnings.empty()) continue;
      warnings.push_back(fmt::format(
          "{} and its like are not in the checkpoint: engines quantize queries and probabilities "
          "themselves",
          quantizer->name()));
    }
  }
  for (const exporting::PlannedLayer& layer : plan.layers()) {
    if (!layer.storage.extension) continue;
    warnings.push_back(
        fmt::format("quant_algo {} is Lathe's own: Lathe reads such checkpoints back, no engine "
                    "loads them yet",
                    layer.storage.name));
    break;
  }
  std::string experts = exporting::unread_experts(plan.layers(), plan.dialect());
  if (!experts.empty()) warnings.push_back(std::move(experts));
  return warnings;
}

exporting::LayerValues layer_values(const QuantizedLayer& layer) {
  exporting::LayerValues values{.weight_scales = layer.weight->scales()};
  values.weight_scales.kind = layer.weight->format().format.scale;
  const bool static_input =
      layer.input != nullptr && layer.input->enabled() && has_static_scale(layer.input->format());
  if (static_input) {
    if (!layer.input->has_scales()) refuse_uncalibrated(*layer.input);
    const formats::Scales& scales = layer.input->scales();
    values.input_scale = scales.kind == formats::ScaleKind::kE4M3TwoLevel ? scales.global_scale
                                                                          : scales.values.at(0);
  }
  return values;
}

exporting::KvValues kv_values(const QuantizedAttention& attention) {
  const auto scale = [](const TensorQuantizer& quantizer) {
    if (!quantizer.has_amax()) refuse_uncalibrated(quantizer);
    return quantization::kv_cache_scale(quantizer.amax().at(0));
  };
  return {scale(*attention.key), scale(*attention.value), attention.key->bias(),
          attention.value->bias()};
}

}  // namespace lathe::api
