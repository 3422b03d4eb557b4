#include "api/unit_writer.h"

#include <unordered_set>

#include "api/scheme.h"
#include "base/error.h"
#include "export/hf_checkpoint/scale_storage.h"
#include "quantization/kv_cache.h"

namespace lathe::api {
namespace {

void fit_layer(const quantization::QuantizedLayer& layer, const exporting::LayerStorage& storage) {
  if (layer.weight->has_scales()) {
    formats::Scales scales = layer.weight->scales();
    exporting::fit_weight_scales(storage, scales);
    layer.weight->set_scales(std::move(scales));
  }
  quantization::TensorQuantizer* input = layer.input;
  if (input == nullptr || !input->enabled() || !input->has_scales()) return;
  formats::Scales scales = input->scales();
  exporting::fit_input_scale(storage, scales);
  input->set_scales(std::move(scales));
}

void fit_cache(quantization::TensorQuantizer& quantizer, DType dtype) {
  if (!quantizer.has_amax()) return;
  const float scale = quantization::kv_cache_scale(quantizer.amax().at(0));
  quantizer.set_scales(quantization::kv_quantizer_scales(quantizer.format().format,
                                                         exporting::stored_scale(scale, dtype)));
}

}  // namespace

UnitWriter::UnitWriter(Model::Impl& model, exporting::CheckpointExporter& exporter)
    : model_(model), exporter_(exporter) {
  const quantization::Conversion& conversion = model.quantization->conversion;
  const exporting::CheckpointPlan& plan = exporter.plan();
  for (size_t i = 0; i < conversion.layers.size(); ++i) {
    if (!conversion.layers[i].weight->enabled()) continue;
    const std::string name = plan.layer(conversion.layers[i].path).weight_name();
    layers_in_[plan.tensor(name).name].push_back(i);
  }
  group_of_.resize(conversion.layers.size());
  for (size_t group = 0; group < conversion.groups.size(); ++group) {
    for (size_t layer : conversion.groups[group]) group_of_[layer] = group;
  }
  for (size_t i = 0; i < conversion.attentions.size(); ++i) {
    const quantization::QuantizedAttention& attention = conversion.attentions[i];
    if (attention.key_producer.empty()) continue;
    const quantization::QuantizedLayer* keys = conversion.find(attention.key_producer);
    const bool is_packed = keys != nullptr && keys->weight->enabled();
    attention_beside_[is_packed ? plan.layer(keys->path).weight_name()
                                : attention.key_producer + ".weight"] = i;
    if (!attention.key->enabled()) continue;
    const auto tensors = plan.cache(key_cache_path(attention)).tensors();
    if (!tensors.empty()) attention_of_[plan.tensor(tensors.front().name).name] = i;
  }
}

std::vector<size_t> UnitWriter::groups_of(const exporting::ExportUnit& unit) const {
  std::vector<size_t> groups;
  std::unordered_set<size_t> seen;
  for (const io::PlannedTensor& tensor : unit.tensors) {
    for (const size_t layer : layers_in(tensor.name)) {
      const size_t group = group_of_[layer];
      if (seen.insert(group).second) groups.push_back(group);
    }
  }
  return groups;
}

std::vector<const quantization::QuantizedLayer*> UnitWriter::layers_of(
    const exporting::ExportUnit& unit) const {
  std::vector<const quantization::QuantizedLayer*> layers;
  for (const io::PlannedTensor& tensor : unit.tensors) {
    for (const size_t layer : layers_in(tensor.name))
      layers.push_back(&model_.quantization->conversion.layers[layer]);
  }
  return layers;
}

std::vector<size_t> UnitWriter::attentions_of(const exporting::ExportUnit& unit) const {
  std::vector<size_t> attentions;
  for (const io::PlannedTensor& tensor : unit.tensors) {
    if (const auto found = attention_beside_.find(tensor.name); found != attention_beside_.end())
      attentions.push_back(found->second);
  }
  return attentions;
}

void UnitWriter::fit_scales(const std::vector<size_t>& groups,
                            const std::vector<size_t>& attentions) {
  const quantization::Conversion& conversion = model_.quantization->conversion;
  for (const size_t group : groups) {
    for (const size_t index : conversion.groups[group]) {
      const quantization::QuantizedLayer& layer = conversion.layers[index];
      if (layer.weight->enabled()) fit_layer(layer, exporter_.plan().layer(layer.path).storage);
    }
  }
  for (const size_t index : attentions) {
    const quantization::QuantizedAttention& attention = conversion.attentions[index];
    if (!attention.key->enabled()) continue;
    const exporting::PlannedCache& cache = exporter_.plan().cache(key_cache_path(attention));
    fit_cache(*attention.key, cache.key.dtype);
    fit_cache(*attention.value, cache.value.dtype);
  }
}

void UnitWriter::write(const exporting::ExportUnit& unit) {
  const quantization::Conversion& conversion = model_.quantization->conversion;
  for (const io::PlannedTensor& tensor : unit.tensors) {
    const std::string& name = tensor.name;
    const std::vector<size_t>& layers = layers_in(name);
    for (const size_t index : layers) {
      const quantization::QuantizedLayer& layer = conversion.layers[index];
      exporter_.write_quantized(layer.path, layer.parameter()->tensor(), layer_values(layer));
      layer.parameter()->release();
    }
    if (!layers.empty()) continue;
    if (const auto* fused = exporter_.plan().find_fused(name)) {
      write_fused(*fused);
    } else if (const auto attention = attention_of_.find(name); attention != attention_of_.end()) {
      const quantization::QuantizedAttention& quantized = conversion.attentions[attention->second];
      const exporting::PlannedCache& cache = exporter_.plan().cache(key_cache_path(quantized));
      exporting::KvValues values = kv_values(quantized);
      if (cache.scheme.has_scales) {
        values.key_scale = exporting::stored_scale(values.key_scale, cache.key.dtype);
        values.value_scale = exporting::stored_scale(values.value_scale, cache.value.dtype);
      }
      exporter_.write_kv(cache.scheme, values);
    } else {
      write_plain(name);
    }
  }
  exporter_.finish_unit(unit.name);
}

void UnitWriter::write_fused(const exporting::FusedTensor& fused) {
  for (size_t i = 0; i < fused.parameters.size(); ++i) {
    const ir::ParameterPtr parameter = model_.root().find_parameter(fused.parameters[i]);
    check_internal(parameter != nullptr, "{}: there is no such parameter", fused.parameters[i]);
    exporter_.write_fused(fused, i, parameter->tensor());
    parameter->release();
  }
}

const std::vector<size_t>& UnitWriter::layers_in(std::string_view tensor) const {
  static const std::vector<size_t> none;
  const auto found = layers_in_.find(tensor);
  return found == layers_in_.end() ? none : found->second;
}

void UnitWriter::write_plain(const std::string& name) {
  const ir::ParameterPtr parameter = model_.root().find_parameter(name);
  if (parameter == nullptr) return;  // a scale that write_quantized or write_kv writes
  exporter_.write_plain(name, parameter->tensor());
  parameter->release();
}

}  // namespace lathe::api
