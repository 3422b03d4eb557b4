#include "quantization/fold_batch_norms.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <array>
#include <optional>
#include <unordered_map>

#include "quantization/parameter_readers.h"
#include "trace/flat_graph.h"

namespace lathe::quantization {
namespace {

bool is_one_of(const ir::Module& module, std::initializer_list<std::string_view> types) {
  for (const std::string_view type : types) {
    if (module.type == type) return true;
  }
  return false;
}

bool is_layer(const ir::Module& module) {
  return is_one_of(module, {"Linear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
                            "ConvTranspose2d", "ConvTranspose3d"});
}

bool is_transposed(const ir::Module& module) { return module.type.starts_with("ConvTranspose"); }

bool is_norm(const ir::Module& module) {
  if (!is_one_of(module, {"BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"}))
    return false;
  const ir::Attribute* training = module.attributes.find("training");
  const bool* trains = training ? std::get_if<bool>(training) : nullptr;
  const ir::Attribute* eps = module.attributes.find("eps");
  return trains != nullptr && !*trains && eps != nullptr && std::holds_alternative<double>(*eps) &&
         module.find_parameter("running_mean") && module.find_parameter("running_var");
}

/// A parameter or buffer in float64; `otherwise` times one if there is none.
at::Tensor values(const ir::Module& module, std::string_view name, int64_t count,
                  double otherwise) {
  const ir::ParameterPtr parameter = module.find_parameter(name);
  if (!parameter) return at::ones({count}, at::kDouble).mul_(otherwise);
  return parameter->tensor().to(at::kDouble);
}

int64_t groups_of(const ir::Module& layer) {
  return layer.has_attribute("groups") ? layer.int_attribute("groups") : 1;
}

/// Output channels of a layer; nothing if its weight has no such dimension.
std::optional<int64_t> channels_of(const ir::Module& layer) {
  const ir::ParameterPtr* weight = layer.parameters.find("weight");
  if (weight == nullptr || (*weight)->shape().size() < 2) return std::nullopt;
  const std::vector<int64_t>& shape = (*weight)->shape();
  const int64_t groups = groups_of(layer);
  if (groups < 1 || shape[0] % groups != 0) return std::nullopt;
  return is_transposed(layer) ? shape[1] * groups : shape[0];
}

bool has_size(const ir::Module& module, std::string_view name, int64_t size) {
  const ir::ParameterPtr parameter = module.find_parameter(name);
  return !parameter || parameter->shape() == std::vector<int64_t>{size};
}

/// The weight times a factor for each output channel. A transposed convolution's is
/// [groups * inputs, outputs of a group, ...]; `groups` is 0 for others.
at::Tensor scaled_weight(const at::Tensor& weight, const at::Tensor& factor, int64_t groups) {
  const at::Tensor exact = weight.to(at::kDouble);
  if (groups == 0) {
    std::vector<int64_t> shape(static_cast<size_t>(weight.dim()), 1);
    shape[0] = -1;
    return exact.mul(factor.view(shape)).to(weight.scalar_type());
  }
  const at::Tensor grouped = exact.reshape({groups, weight.size(0) / groups, weight.size(1), -1});
  return grouped.mul(factor.view({groups, 1, weight.size(1), 1}))
      .reshape(weight.sizes())
      .to(weight.scalar_type());
}

ir::GraphPtr identity_graph() {
  ir::GraphBuilder graph;
  graph.output(graph.placeholder("input"));
  return graph.build();
}

FoldedNorm fold(const std::string& layer_path, ir::Module& layer, const std::string& norm_path,
                ir::Module& norm, const ir::GraphPtr& identity) {
  const ir::ParameterPtr* bias = layer.parameters.find("bias");
  FoldedNorm folded{norm_path, layer_path, *layer.parameters.find("weight"),
                    bias ? *bias : nullptr};
  const int64_t channels = *channels_of(layer);
  const double eps = norm.float_attribute("eps");
  const at::Tensor deviation = values(norm, "running_var", channels, 1).add(eps).sqrt();
  const at::Tensor factor = values(norm, "weight", channels, 1).div(deviation);
  const at::Tensor shift = values(layer, "bias", channels, 0)
                               .sub(values(norm, "running_mean", channels, 0))
                               .mul(factor)
                               .add(values(norm, "bias", channels, 0));
  const at::ScalarType dtype = folded.weight->dtype();
  const int64_t groups = is_transposed(layer) ? groups_of(layer) : 0;
  const auto load = [weight = folded.weight, factor, groups] {
    return scaled_weight(weight->tensor(), factor, groups);
  };
  layer.parameters.set("weight",
                       std::make_shared<ir::Parameter>(dtype, folded.weight->shape(), load));
  layer.parameters.set("bias", std::make_shared<ir::Parameter>(shift.to(dtype)));
  norm.type = "Identity";
  norm.attributes = {};
  norm.parameters = {};
  norm.buffers = {};
  norm.graph = identity;
  return folded;
}

/// Finds the pairs in a model's graphs, joined.
class PairFinder {
 public:
  explicit PairFinder(const ir::Module& root)
      : graph_(trace::FlatGraph::of(
            "", root,
            [](const ir::Module& module) { return is_layer(module) || is_norm(module); })),
        readers_(trace::readers_of(graph_)),
        parameter_readers_(parameter_readers(root)) {
    for (const trace::FlatNode& node : graph_.nodes()) {
      if (node.kind == ir::NodeKind::kCallModule) ++calls_[node.callee];
    }
  }

  struct Pair {
    std::string layer;
    std::string norm;
  };
  std::vector<Pair> find() const {
    std::vector<Pair> pairs;
    for (const trace::FlatNode& norm : graph_.nodes()) {
      if (norm.kind != ir::NodeKind::kCallModule || !is_norm(*norm.callee)) continue;
      if (norm.inputs.size() != 1 || calls_.at(norm.callee) != 1) continue;
      const trace::FlatNode& layer = graph_.node(norm.inputs[0]);
      if (layer.kind == ir::NodeKind::kCallModule && is_layer(*layer.callee) &&
          is_alone(layer, norm))
        pairs.push_back({graph_.path(layer), graph_.path(norm)});
    }
    return pairs;
  }

 private:
  bool is_alone(const trace::FlatNode& layer, const trace::FlatNode& norm) const {
    if (calls_.at(layer.callee) != 1 || readers_[norm.inputs[0]].size() != 1) return false;
    for (const char* name : {"weight", "bias"}) {
      const ir::ParameterPtr* parameter = layer.callee->parameters.find(name);
      if (parameter != nullptr && parameter_readers_.at(parameter->get()).size() != 1) return false;
    }
    const auto channels = channels_of(*layer.callee);
    if (!channels || !has_size(*layer.callee, "bias", *channels)) return false;
    for (const char* name : {"weight", "bias", "running_mean", "running_var"}) {
      if (!has_size(*norm.callee, name, *channels)) return false;
    }
    return true;
  }

  trace::FlatGraph graph_;
  std::vector<std::vector<trace::ValueId>> readers_;
  ParameterReaders parameter_readers_;
  std::unordered_map<const ir::Module*, int> calls_;
};

}  // namespace

std::vector<FoldedNorm> fold_batch_norms(
    ir::Module& root, const std::function<bool(const ir::Module&, const ir::Module&)>& may_fold) {
  std::vector<FoldedNorm> folded;
  if (!root.is_composite()) return folded;
  const ir::GraphPtr identity = identity_graph();
  for (const auto& [layer_path, norm_path] : PairFinder(root).find()) {
    ir::Module& layer = root.at(layer_path);
    ir::Module& norm = root.at(norm_path);
    if (may_fold(layer, norm)) folded.push_back(fold(layer_path, layer, norm_path, norm, identity));
  }
  return folded;
}

}  // namespace lathe::quantization
