#include "api/source_scales.h"

#include <ATen/ops/mul.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "export/hf_checkpoint/layer_storage.h"

namespace lathe::api {
namespace {

using frontends::QuantizedLinear;
using quantization::QuantizedLayer;
using quantization::TensorQuantizer;

class SourceKeeper {
 public:
  explicit SourceKeeper(Model::Impl& model) : conversion_(model.quantization->conversion) {
    for (const QuantizedLinear& linear : model.source_quantization->linears)
      linears_.emplace(linear.path, &linear);
    for (const std::vector<size_t>& fused : conversion_.fused) {
      for (const size_t index : fused) fused_.insert(&conversion_.layers[index]);
    }
  }

  int64_t keep_weights() {
    int64_t kept = 0;
    for (const std::vector<size_t>& group : conversion_.groups) {
      const auto members = weight_members(conversion_, group);
      if (!can_be_kept(members) || breaks_fused(members)) continue;
      for (const QuantizedLayer* member : members) {
        member->weight->keep_scales(linears_.at(member->path)->scales);
        ++kept;
      }
    }
    return kept;
  }

  /// Whether the weights are to lie in one tensor with others, have one scale with them, and come
  /// from tensors of their own.
  bool breaks_fused(const std::vector<const QuantizedLayer*>& members) const {
    for (const QuantizedLayer* member : members) {
      const bool own_tensor = find(*member)->tensors.front().starts_with(member->path + ".");
      if (own_tensor && fused_.contains(member) &&
          quantization::shares_weight_scale(member->weight->format().format, {.fuse_scales = true}))
        return true;
    }
    return false;
  }

  void keep_inputs() {
    std::vector<std::pair<TensorQuantizer*, const QuantizedLinear*>> inputs;
    for (const QuantizedLayer& layer : conversion_.layers) {
      if (layer.input == nullptr || !layer.input->needs_data()) continue;
      const QuantizedLinear* linear = find(layer);
      const bool has_scale = linear != nullptr && layer.weight->keeps_scales() &&
                             linear->input_scale && linear->input_format &&
                             same_storage(*linear->input_format, layer.input->format().format);
      if (!has_scale) return;
      inputs.emplace_back(layer.input, linear);
    }
    for (const auto& [input, linear] : inputs) {
      input->keep_scales([kind = input->format().format.scale, scale = *linear->input_scale] {
        formats::Scales scales = formats::Scales::make(kind, 0, scale);
        if (kind == formats::ScaleKind::kFloat32) scales.values = {scale};
        return scales;
      });
    }
  }

 private:
  static bool same_storage(const formats::Format& a, const formats::Format& b) {
    return exporting::same_storage(a, b);
  }

  const QuantizedLinear* find(const QuantizedLayer& layer) const {
    const auto found = linears_.find(layer.path);
    return found == linears_.end() ? nullptr : found->second;
  }

  bool can_be_kept(const std::vector<const QuantizedLayer*>& members) const {
    return std::all_of(members.begin(), members.end(), [&](const QuantizedLayer* layer) {
      const QuantizedLinear* linear = find(*layer);
      return linear != nullptr && linear->scales && !linear->pre_quant_scale &&
             same_storage(linear->weight_format, layer->weight->format().format) &&
             linear->global_scale == find(*members.front())->global_scale;
    });
  }

  const quantization::Conversion& conversion_;
  std::unordered_map<std::string, const QuantizedLinear*> linears_;
  std::unordered_set<const QuantizedLayer*> fused_;  // those that are to lie in one tensor
};

}  // namespace

SourceWeights keep_source_scales(Model::Impl& model) {
  SourceWeights weights;
  if (!model.source_quantization) return weights;
  SourceKeeper keeper(model);
  weights.kept = keeper.keep_weights();
  keeper.keep_inputs();
  weights.decoded = static_cast<int64_t>(model.source_quantization->linears.size()) - weights.kept;
  return weights;
}

void fold_pre_quant_scales(Model::Impl& model) {
  for (const QuantizedLinear& linear : model.source_quantization->linears) {
    if (!linear.pre_quant_scale) continue;
    ir::Module* module = model.root().find(linear.path);
    ir::ParameterPtr* weight = module ? module->parameters.find("weight") : nullptr;
    if (weight == nullptr)
      throw_user("{}: {} has a pre_quant_scale and is no Linear of the model", model.path,
                 linear.path);
    const bool is_transposed = module->type == "Conv1D";  // [K, N]
    const auto read = [weight = *weight, scale = linear.pre_quant_scale, is_transposed] {
      const at::Tensor factors = is_transposed ? scale->tensor().unsqueeze(1) : scale->tensor();
      const at::Tensor scaled = at::mul(weight->tensor().to(at::kFloat), factors);
      weight->release();
      scale->release();
      return scaled.to(weight->dtype());
    };
    module->parameters.set(
        "weight", std::make_shared<ir::Parameter>((*weight)->dtype(), (*weight)->shape(), read));
  }
}

}  // namespace lathe::api
