#include "api/scheme.h"

#include "base/error.h"
#include "quantization/kv_cache.h"

namespace lathe::api {
namespace {

using quantization::QuantizedAttention;
using quantization::QuantizedLayer;

exporting::LayerScheme layer_scheme(const QuantizedLayer& layer) {
  exporting::LayerScheme scheme{.path = layer.path,
                                .weight = layer.weight->format().format,
                                .exact_scales = layer.weight->keeps_scales()};
  if (layer.input != nullptr && layer.input->enabled()) {
    scheme.input = layer.input->format().format;
    scheme.input_dynamic = !layer.input->format().needs_amax();
  }
  return scheme;
}

void add_cache(const QuantizedAttention& attention, exporting::QuantizationScheme& scheme,
               std::vector<std::string>& problems) {
  if (attention.query->enabled()) {
    problems.push_back(
        fmt::format("{}: no checkpoint can hold a query quantizer", attention.query->name()));
  }
  if (!attention.key->enabled() && !attention.value->enabled()) return;
  if (!attention.key->enabled() || !attention.value->enabled()) {
    problems.push_back(
        fmt::format("{}: keys and values of a cache must be quantized together", attention.path));
    return;
  }
  if (attention.key_producer.empty() || attention.value_producer.empty()) {
    problems.push_back(
        fmt::format("{}: no linear is found that makes its keys and values", attention.path));
    return;
  }
  scheme.kv.push_back({attention.key_producer, attention.value_producer,
                       attention.key->format().format, attention.path});
}

[[noreturn]] void refuse_uncalibrated(const quantization::TensorQuantizer& quantizer) {
  throw_user("{} has seen no data: calibrate before exporting", quantizer.name());
}

}  // namespace

exporting::QuantizationScheme make_scheme(const Model::Impl& model,
                                          std::vector<std::string>& problems) {
  exporting::QuantizationScheme scheme;
  const quantization::Conversion& conversion = model.quantization->conversion;
  for (const QuantizedLayer& layer : conversion.layers) {
    if (layer.output->enabled()) {
      problems.push_back(
          fmt::format("{}: no checkpoint can hold an output quantizer", layer.output->name()));
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
  for (const QuantizedAttention& attention : conversion.attentions)
    add_cache(attention, scheme, problems);
  return scheme;
}

exporting::LayerValues layer_values(const QuantizedLayer& layer) {
  exporting::LayerValues values{.weight_scales = layer.weight->scales()};
  values.weight_scales.kind = layer.weight->format().format.scale;
  const bool static_input =
      layer.input != nullptr && layer.input->enabled() && layer.input->format().needs_amax();
  if (static_input) {
    if (!layer.input->has_scales()) refuse_uncalibrated(*layer.input);
    const formats::Scales& scales = layer.input->scales();
    values.input_scale = scales.kind == formats::ScaleKind::kE4M3TwoLevel ? scales.global_scale
                                                                          : scales.values.at(0);
  }
  return values;
}

exporting::KvValues kv_values(const QuantizedAttention& attention) {
  const auto scale = [](const quantization::TensorQuantizer& quantizer) {
    if (!quantizer.has_amax()) refuse_uncalibrated(quantizer);
    return quantization::kv_cache_scale(quantizer.amax().at(0));
  };
  return {scale(*attention.key), scale(*attention.value)};
}

}  // namespace lathe::api
