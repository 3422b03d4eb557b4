#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "api/model_impl.h"
#include "frontends/torch_export/program_sites.h"

namespace lathe::api {

/// Where the modules of a model, as its quantizers left them, lie in its torch.export program.
class ProgramLayers {
 public:
  explicit ProgramLayers(const Model::Impl& model);

  /// The calls of a leaf (or of what replaced it), of all names that it has; empty if there are
  /// none.
  const std::vector<frontends::LeafCall>& calls(const ir::Module& leaf) const;
  const std::vector<frontends::GraphCall>& graph_calls(const ir::Module& composite) const;
  /// The attentions of a composite's graph, in all of its calls.
  std::vector<std::string> attention_nodes(const ir::Module& composite) const;
  /// What the layer was lifted from; null for leaves of the program.
  const quantization::LiftedLayer* lifted(const ir::Module& leaf) const;
  /// The parameter that the program has for a layer's weight: the one before a batch norm was
  /// folded into it, or the whole of which the layer has rows.
  const ir::Parameter* program_weight(const quantization::QuantizedLayer& layer) const;
  /// The layers by the weight that the program has for them, in the order of the first of each.
  struct WeightReaders {
    const ir::Parameter* weight;
    std::vector<const quantization::QuantizedLayer*> layers;
  };
  std::vector<WeightReaders> by_weight(
      const std::vector<quantization::QuantizedLayer>& layers) const;
  /// Where the layer's rows begin in that weight.
  int64_t first_row(const quantization::QuantizedLayer& layer) const;
  /// The names by which the program reads a parameter.
  std::vector<std::string> names(const ir::Parameter& parameter) const;

 private:
  void add_lifted(const Model::Impl& model);

  std::unordered_map<const ir::Module*, std::vector<frontends::LeafCall>> leaves_;
  std::unordered_map<const ir::Module*, std::vector<frontends::GraphCall>> graphs_;
  std::unordered_map<const ir::Module*, const quantization::LiftedLayer*> lifted_;
  std::unordered_map<std::string, const ir::Parameter*> before_folding_;  // by the layer's path
  std::unordered_map<const ir::Parameter*, std::vector<std::string>> names_;
};

/// Before a program's model is converted: its functional layers become leaves, and batch norms are
/// folded. Both are written to `quantization`.
void lift_and_fold(Model::Impl& model, Quantization& quantization);

/// After it: activations are rounded as the program will round them, and what the program cannot
/// say is switched off and listed in conversion.left_alone.
void fit_to_program(Model::Impl& model, Quantization& quantization);

}  // namespace lathe::api
