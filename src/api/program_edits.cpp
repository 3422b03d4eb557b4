#include "api/program_edits.h"

#include <ATen/ops/empty.h>

#include <map>
#include <unordered_set>

#include "api/program_layers.h"
#include "base/error.h"
#include "ir/scalar_types.h"
#include "kernels/kernels.h"
#include "quantization/tensor_matrix.h"

namespace lathe::api {
namespace {

using exporting::ProgramEdits;
using exporting::QdqScheme;
using exporting::TensorSource;
using formats::Element;
using formats::ElementKind;
using quantization::QuantizedLayer;
using quantization::TensorQuantizer;

constexpr const char* kStorable =
    "fp8, int8, int8_wo, int4 (groups of a linear's weight), or a recipe of integers, E4M3 and "
    "E5M2 with static scales";

bool is_e4m3(const Element& element) { return element == formats::kE4M3; }
bool is_e5m2(const Element& element) { return element == formats::kE5M2; }

bool is_storable(const quantization::QuantizerFormat& format, bool is_weight) {
  const Element& element = format.format.element;
  const bool is_integer = element.kind == ElementKind::kInt && !element.is_unsigned;
  if (!is_integer && !is_e4m3(element) && !is_e5m2(element)) return false;
  if (format.format.scale != formats::ScaleKind::kFloat32 || format.dynamic) return false;
  const formats::BlockShape block = format.format.block;
  if (block == formats::kPerTensor) return true;
  return is_weight && block.rows == 1;
}

TensorSource source_of(const at::Tensor& tensor) {
  return {ir::to_dtype(tensor.scalar_type()), tensor.sizes().vec(),
          [tensor](const exporting::ByteSink& sink) {
            const at::Tensor dense = tensor.contiguous();
            sink({static_cast<const std::byte*>(dense.const_data_ptr()), dense.nbytes()});
          }};
}

TensorSource source_of(const ir::ParameterPtr& parameter) {
  return {ir::to_dtype(parameter->dtype()), parameter->shape(),
          [parameter](const exporting::ByteSink& sink) {
            const bool was_loaded = parameter->is_loaded();
            source_of(parameter->tensor()).write(sink);
            if (!was_loaded) parameter->release();
          }};
}

/// The codes of a weight, in its own shape.
at::Tensor codes_of(const QuantizedLayer& layer) {
  const TensorQuantizer& quantizer = *layer.weight;
  const bool was_loaded = layer.parameter()->is_loaded();
  const at::Tensor rows =
      quantization::to_channel_rows(layer.parameter()->tensor(), quantizer.channel_axis());
  at::Tensor codes = at::empty(rows.sizes(), at::kByte);
  kernels::encode(quantizer.format().format, quantization::matrix_view(rows, quantizer.name()),
                  quantizer.scales().view(), formats::Packing::kBytes,
                  {static_cast<std::byte*>(codes.mutable_data_ptr()), codes.nbytes()});
  codes =
      quantization::from_channel_rows(codes, layer.parameter()->shape(), quantizer.channel_axis());
  if (!was_loaded) layer.parameter()->release();
  return codes;
}

/// Collects the edits of a model.
class EditMaker {
 public:
  explicit EditMaker(const Model::Impl& model)
      : model_(model), quantization_(*model.quantization), layers_(model) {}

  ProgramEdits make() && {
    for (const QuantizedLayer& layer : quantization_.conversion.layers) add_layer(layer);
    for (const auto& readers : layers_.by_weight(quantization_.conversion.layers))
      add_weight(readers);
    for (const auto& attention : quantization_.conversion.attentions) add_attention(attention);
    for (const quantization::FoldedNorm& folded : quantization_.folded_norms) add_norm(folded);
    return std::move(edits_);
  }

 private:
  void add_layer(const QuantizedLayer& layer) {
    const auto& calls = layers_.calls(*layer.module);
    if (layer.input != nullptr && layer.input->enabled()) {
      const QdqScheme scheme = qdq_scheme(*layer.input, false);
      for (const auto& call : calls) {
        for (const auto& read : call.reads)
          edits_.activations.push_back({read.node, read.argument, scheme});
      }
    }
    if (layer.output->enabled()) {
      for (const auto& call : calls)
        edits_.outputs.push_back({call.node, qdq_scheme(*layer.output, false)});
    }
  }

  /// Layers that have each row of a weight once, by their first rows: one that has all of it, or
  /// those that have some.
  std::map<int64_t, const QuantizedLayer*> parts_of(
      const ProgramLayers::WeightReaders& readers) const {
    std::map<int64_t, const QuantizedLayer*> parts;
    for (const QuantizedLayer* layer : readers.layers) {
      if (!layer->weight->enabled()) continue;
      if (layer->parameter()->shape() == readers.weight->shape()) return {{0, layer}};
      parts.emplace(layers_.first_row(*layer), layer);
    }
    return parts;
  }

  /// A weight as its layers say: their codes and scales one after the other.
  void add_weight(const ProgramLayers::WeightReaders& readers) {
    const std::map<int64_t, const QuantizedLayer*> parts = parts_of(readers);
    if (parts.empty()) return;
    const QuantizedLayer& first = *parts.begin()->second;
    QdqScheme scheme = qdq_scheme(*first.weight, true);
    const bool one_scale = first.weight->format().format.block == formats::kPerTensor;
    for (auto part = std::next(parts.begin()); part != parts.end() && !one_scale; ++part) {
      const std::vector<float> more = qdq_scheme(*part->second->weight, true).scales;
      scheme.scales.insert(scheme.scales.end(), more.begin(), more.end());
    }
    const TensorSource codes{
        scheme.dtype, readers.weight->shape(), [parts](const exporting::ByteSink& sink) {
          for (const auto& [row, layer] : parts) {
            const at::Tensor bytes = codes_of(*layer);
            sink({static_cast<const std::byte*>(bytes.const_data_ptr()), bytes.nbytes()});
          }
        }};
    for (const std::string& name : layers_.names(*readers.weight)) {
      if (quantized_.insert(name).second) edits_.weights.push_back({name, codes, scheme});
    }
  }

  void add_attention(const quantization::QuantizedAttention& attention) {
    const std::pair<const char*, const TensorQuantizer*> arguments[] = {
        {"query", attention.query}, {"key", attention.key}, {"value", attention.value}};
    for (const std::string& node : layers_.attention_nodes(model_.root().at(attention.path))) {
      for (const auto& [argument, quantizer] : arguments) {
        if (quantizer->enabled())
          edits_.activations.push_back({node, argument, qdq_scheme(*quantizer, false)});
      }
    }
  }

  void add_norm(const quantization::FoldedNorm& folded) {
    const ir::Module& layer = model_.root().at(folded.layer);
    for (const std::string& name : layers_.names(*folded.weight)) {
      if (!quantized_.contains(name))
        edits_.replaced.push_back({name, source_of(*layer.parameters.find("weight"))});
    }
    const ir::ParameterPtr& bias = *layer.parameters.find("bias");
    if (folded.bias != nullptr) {
      for (const std::string& name : layers_.names(*folded.bias))
        edits_.replaced.push_back({name, source_of(bias)});
    } else {
      edits_.biases.push_back(
          {layers_.calls(layer).at(0).node, ir::join_path(folded.layer, "bias"), source_of(bias)});
    }
    const auto& norm = layers_.calls(model_.root().at(folded.norm)).at(0);
    edits_.dropped.push_back({norm.node, norm.input});
  }

  const Model::Impl& model_;
  const Quantization& quantization_;
  ProgramLayers layers_;
  std::unordered_set<std::string> quantized_;  // names of tensors
  ProgramEdits edits_;
};

}  // namespace

std::vector<std::string> program_format_problems(const quantization::Conversion& conversion) {
  std::map<std::string, std::vector<std::string>> refused;  // quantizers by what they do
  const auto check = [&](const TensorQuantizer* quantizer, bool is_weight) {
    if (quantizer == nullptr || !quantizer->enabled()) return;
    if (!is_storable(quantizer->format(), is_weight))
      refused[quantizer->describe()].push_back(quantizer->name());
  };
  for (const QuantizedLayer& layer : conversion.layers) {
    check(layer.input, false);
    check(layer.weight, true);
    check(layer.output, false);
  }
  for (const auto& attention : conversion.attentions) {
    for (const TensorQuantizer* quantizer : {attention.query, attention.key, attention.value})
      check(quantizer, false);
  }
  std::vector<std::string> problems;
  for (const auto& [what, names] : refused) {
    problems.push_back(fmt::format(
        "{} of {}{} cannot be stored in a .pt2 program; {} can be", what, names[0],
        names.size() == 1 ? "" : fmt::format(" and {} other quantizers", names.size() - 1),
        kStorable));
  }
  return problems;
}

QdqScheme qdq_scheme(const TensorQuantizer& quantizer, bool is_weight) {
  const formats::Format& format = quantizer.format().format;
  QdqScheme scheme;
  if (quantizer.has_scales()) scheme.scales = quantizer.scales().values;
  if (format.element.kind == ElementKind::kInt) {
    const int64_t top = (int64_t{1} << (format.element.bits - 1)) - 1;
    scheme.quant_max = top;
    scheme.quant_min = format.element.narrow_range ? -top : -top - 1;
  } else {
    scheme.dtype = is_e4m3(format.element) ? DType::kF8E4M3 : DType::kF8E5M2;
    scheme.quant_max = static_cast<int64_t>(formats::max_bound(format.element));
    scheme.quant_min = -scheme.quant_max;
  }
  if (!is_weight || format.block == formats::kPerTensor) return scheme;
  if (format.block == formats::kPerChannel) {
    scheme.axis = quantizer.channel_axis().value_or(0);
  } else {
    scheme.group_size = format.block.cols;
  }
  return scheme;
}

ProgramEdits program_edits(const Model::Impl& model) { return EditMaker(model).make(); }

}  // namespace lathe::api
