#include "api/program_layers.h"

#include <algorithm>
#include <map>
#include <set>

#include "quantization/parameter_readers.h"

namespace lathe::api {
namespace {

using frontends::GraphCall;
using frontends::LeafCall;
using quantization::QuantizedLayer;
using quantization::TensorQuantizer;

/// Values of graphs within operators (torch.no_grad), which have no names of the program's.
bool is_within_operator(const std::string& node) { return node.find('#') != std::string::npos; }

bool is_within_operator(const std::vector<LeafCall>& calls) {
  return std::any_of(calls.begin(), calls.end(), [](const LeafCall& call) {
    return is_within_operator(call.node) ||
           std::any_of(call.reads.begin(), call.reads.end(),
                       [](const auto& read) { return is_within_operator(read.node); });
  });
}

bool is_within_operator(const std::vector<std::string>& nodes) {
  return std::any_of(nodes.begin(), nodes.end(),
                     [](const std::string& node) { return is_within_operator(node); });
}

template <typename Call>
void add_calls(const ir::Module& root,
               const std::unordered_map<std::string, std::vector<Call>>& by_path,
               std::unordered_map<const ir::Module*, std::vector<Call>>& by_module) {
  const std::map<std::string, std::vector<Call>> ordered(by_path.begin(), by_path.end());
  for (const auto& [path, calls] : ordered) {
    std::vector<Call>& all = by_module[root.find(path)];
    all.insert(all.end(), calls.begin(), calls.end());
  }
}

void disable(std::initializer_list<TensorQuantizer*> quantizers) {
  for (TensorQuantizer* quantizer : quantizers) {
    if (quantizer != nullptr) quantizer->set_enabled(false);
  }
}

bool is_enabled(std::initializer_list<const TensorQuantizer*> quantizers) {
  return std::any_of(quantizers.begin(), quantizers.end(), [](const TensorQuantizer* quantizer) {
    return quantizer != nullptr && quantizer->enabled();
  });
}

/// Switches off what a program cannot say.
class ProgramFitter {
 public:
  ProgramFitter(Model::Impl& model, Quantization& quantization)
      : quantization_(quantization),
        root_(model.root()),
        layers_(model),
        readers_(quantization::parameter_readers(root_)) {
    for (const QuantizedLayer& layer : quantization.conversion.layers)
      layer_modules_.insert(layer.module);
  }

  void fit() {
    for (const QuantizedLayer& layer : quantization_.conversion.layers) {
      if (!is_enabled({layer.input, layer.weight, layer.output})) continue;
      const std::string reason = reason_against(layer);
      if (reason.empty()) continue;
      disable({layer.input, layer.weight, layer.output});
      leave(layer.path, reason);
    }
    for (const auto& attention : quantization_.conversion.attentions) {
      if (!is_enabled({attention.query, attention.key, attention.value})) continue;
      if (!is_within_operator(layers_.attention_nodes(root_.at(attention.path)))) continue;
      disable({attention.query, attention.key, attention.value});
      leave(attention.path, "it lies in a graph within an operator (torch.no_grad)");
    }
    leave_incomplete_weights();
    join_shared_weights();
    for (TensorQuantizer* quantizer : activation_quantizers()) quantizer->multiply_by_reciprocal();
  }

 private:
  void leave(const std::string& path, const std::string& reason) {
    quantization_.conversion.left_alone.push_back({path, reason});
  }

  std::string reason_against(const QuantizedLayer& layer) const {
    const auto& calls = layers_.calls(*layer.module);
    if (calls.empty()) return "the program does not call it";
    if (is_within_operator(calls)) return "it lies in a graph within an operator (torch.no_grad)";
    if (!layer.weight->enabled()) return {};
    const auto readers = readers_.find(weight_read(layer));
    if (readers == readers_.end()) return {};
    for (const auto& [path, module] : readers->second) {
      if (!layer_modules_.contains(module))
        return fmt::format("its weight is also read by {}", path.empty() ? "the model" : path);
    }
    return {};
  }

  /// The weight in the model as it is: of a layer with some of its rows, the whole.
  const ir::Parameter* weight_read(const QuantizedLayer& layer) const {
    return has_rows(layer) ? layers_.program_weight(layer) : layer.parameter().get();
  }

  bool has_rows(const QuantizedLayer& layer) const {
    const quantization::LiftedLayer* lifted = layers_.lifted(*layer.module);
    return lifted != nullptr && lifted->whole_weight != nullptr;
  }

  /// A weight of which several layers have rows is quantized whole or not at all.
  void leave_incomplete_weights() {
    for (auto& [weight, layers] : layers_.by_weight(quantization_.conversion.layers)) {
      std::erase_if(layers, [&](const QuantizedLayer* layer) { return !has_rows(*layer); });
      const bool is_wanted = std::any_of(
          layers.begin(), layers.end(), [](const auto* layer) { return layer->weight->enabled(); });
      if (!is_wanted || makes_whole(*weight, layers)) continue;
      for (const QuantizedLayer* layer : layers) {
        disable({layer->input, layer->weight, layer->output});
        leave(layer->path, "its weight is a part of one that is not quantized whole");
      }
    }
  }

  /// Whether the layers' rows are the weight's, each once, in one format that fits them together.
  bool makes_whole(const ir::Parameter& weight,
                   const std::vector<const QuantizedLayer*>& layers) const {
    std::map<int64_t, int64_t> parts;
    const formats::Format& format = layers[0]->weight->format().format;
    for (const QuantizedLayer* layer : layers) {
      if (!layer->weight->enabled() || !(layer->weight->format().format == format)) return false;
      parts[layers_.first_row(*layer)] = layer->parameter()->shape()[0];
    }
    int64_t next = 0;
    for (const auto& [first, rows] : parts) {
      if (first != next) return false;
      next += rows;
    }
    const bool fits_together =
        format.block != formats::kPerTensor || quantization_.options.fuse_scales;
    return parts.size() == layers.size() && next == weight.shape()[0] && fits_together;
  }

  /// Layers that read one weight have one scale: their groups become one. Rows of one weight that
  /// have scales of their own need none together.
  void join_shared_weights() {
    auto& groups = quantization_.conversion.groups;
    std::unordered_map<const ir::Parameter*, size_t> group_of;
    for (size_t group = 0; group < groups.size(); ++group) {
      size_t target = group;
      for (const size_t index : groups[group]) {
        const auto* weight = shared_weight(quantization_.conversion.layers[index]);
        target = std::min(target, group_of.emplace(weight, group).first->second);
      }
      if (target == group) continue;
      groups[target].insert(groups[target].end(), groups[group].begin(), groups[group].end());
      for (const size_t index : groups[group])
        group_of[shared_weight(quantization_.conversion.layers[index])] = target;
      groups[group].clear();
    }
    std::erase_if(groups, [](const auto& group) { return group.empty(); });
  }

  const ir::Parameter* shared_weight(const QuantizedLayer& layer) const {
    const bool one_scale =
        layer.weight->enabled() && layer.weight->format().format.block == formats::kPerTensor;
    return one_scale ? weight_read(layer) : layer.parameter().get();
  }

  std::vector<TensorQuantizer*> activation_quantizers() const {
    std::vector<TensorQuantizer*> quantizers;
    for (const QuantizedLayer& layer : quantization_.conversion.layers) {
      if (layer.input != nullptr) quantizers.push_back(layer.input);
      quantizers.push_back(layer.output);
    }
    for (const auto& attention : quantization_.conversion.attentions)
      quantizers.insert(quantizers.end(), {attention.query, attention.key, attention.value});
    return quantizers;
  }

  Quantization& quantization_;
  const ir::Module& root_;
  ProgramLayers layers_;
  quantization::ParameterReaders readers_;
  std::set<const ir::Module*> layer_modules_;
};

}  // namespace

ProgramLayers::ProgramLayers(const Model::Impl& model) {
  add_calls(model.root(), model.program->leaves, leaves_);
  add_calls(model.root(), model.program->graphs, graphs_);
  add_lifted(model);
  for (const ir::SourceTensor& tensor : model.model.tensors) {
    if (model.program->read_tensors.contains(tensor.name))
      names_[tensor.parameter.get()].push_back(tensor.name);
  }
}

void ProgramLayers::add_lifted(const Model::Impl& model) {
  if (!model.quantization) return;
  for (const quantization::FoldedNorm& folded : model.quantization->folded_norms)
    before_folding_[folded.layer] = folded.weight.get();
  for (const quantization::LiftedLayer& lifted : model.quantization->lifting.layers) {
    const ir::Module* leaf = model.root().find(lifted.path);
    lifted_[leaf] = &lifted;
    std::vector<LeafCall>& calls = leaves_[leaf];
    for (const GraphCall& graph : graph_calls(model.root().at(lifted.owner))) {
      const auto node = graph.find(lifted.node);
      if (node == graph.end()) continue;
      calls.push_back({.reads = {{node->second, lifted.input}}, .node = node->second});
    }
  }
}

const std::vector<LeafCall>& ProgramLayers::calls(const ir::Module& leaf) const {
  static const std::vector<LeafCall> kNone;
  const auto found = leaves_.find(&leaf);
  return found == leaves_.end() ? kNone : found->second;
}

const ir::Parameter* ProgramLayers::program_weight(const QuantizedLayer& layer) const {
  const quantization::LiftedLayer* rows = lifted(*layer.module);
  if (rows != nullptr && rows->whole_weight != nullptr) return rows->whole_weight.get();
  const auto folded = before_folding_.find(layer.path);
  return folded == before_folding_.end() ? layer.parameter().get() : folded->second;
}

std::vector<ProgramLayers::WeightReaders> ProgramLayers::by_weight(
    const std::vector<QuantizedLayer>& layers) const {
  std::vector<WeightReaders> weights;
  std::unordered_map<const ir::Parameter*, size_t> place;
  for (const QuantizedLayer& layer : layers) {
    const ir::Parameter* weight = program_weight(layer);
    const auto [found, added] = place.emplace(weight, weights.size());
    if (added) weights.push_back({weight, {}});
    weights[found->second].layers.push_back(&layer);
  }
  return weights;
}

int64_t ProgramLayers::first_row(const QuantizedLayer& layer) const {
  const quantization::LiftedLayer* rows = lifted(*layer.module);
  return rows == nullptr ? 0 : rows->first_row;
}

const quantization::LiftedLayer* ProgramLayers::lifted(const ir::Module& leaf) const {
  const auto found = lifted_.find(&leaf);
  return found == lifted_.end() ? nullptr : found->second;
}

const std::vector<GraphCall>& ProgramLayers::graph_calls(const ir::Module& composite) const {
  static const std::vector<GraphCall> kNone;
  const auto found = graphs_.find(&composite);
  return found == graphs_.end() ? kNone : found->second;
}

std::vector<std::string> ProgramLayers::attention_nodes(const ir::Module& composite) const {
  std::vector<std::string> nodes;
  for (const GraphCall& call : graph_calls(composite)) {
    for (const auto& node : composite.graph->nodes()) {
      const auto found = call.find(node->name);
      if (quantization::is_attention(*node) && found != call.end()) nodes.push_back(found->second);
    }
  }
  return nodes;
}

std::vector<std::string> ProgramLayers::names(const ir::Parameter& parameter) const {
  const auto found = names_.find(&parameter);
  return found == names_.end() ? std::vector<std::string>() : found->second;
}

void lift_and_fold(Model::Impl& model, Quantization& quantization) {
  quantization.lifting = quantization::lift_layers(model.root());
  const ProgramLayers layers(model);
  quantization.folded_norms = lathe::quantization::fold_batch_norms(
      model.root(), [&](const ir::Module& layer, const ir::Module& norm) {
        const auto& calls = layers.calls(layer);
        const bool is_once = calls.size() == 1 && layers.calls(norm).size() == 1;
        if (!is_once || is_within_operator(calls) || is_within_operator(layers.calls(norm)))
          return false;
        const quantization::LiftedLayer* lifted = layers.lifted(layer);
        if (lifted != nullptr && (lifted->whole_weight != nullptr || lifted->has_part_of_bias))
          return false;
        // Of more dimensions, a batch norm's channels are not a linear's features.
        if (layer.type == "Linear" && calls[0].rank != 2) return false;
        return calls[0].is_one_node || layer.parameters.find("bias") != nullptr;
      });
}

void fit_to_program(Model::Impl& model, Quantization& quantization) {
  ProgramFitter(model, quantization).fit();
}

}  // namespace lathe::api
