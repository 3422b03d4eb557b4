#include "quantization/reserved_layers.h"

namespace lathe::quantization {
namespace {

using ir::Node;
using ir::NodeKind;

const ir::Parameter* weight_of(const ir::Module& module) {
  const ir::ParameterPtr* weight = module.parameters.find("weight");
  return weight == nullptr ? nullptr : weight->get();
}

/// The child that a node calls, or null.
const ir::Module* called(const ir::Module& module, const Node* node) {
  return node != nullptr && node->kind == NodeKind::kCallModule ? module.find(node->target)
                                                                : nullptr;
}

}  // namespace

ReservedLayers::ReservedLayers(const ir::Module& root) {
  for (const auto& [path, module] : ir::named_modules(root)) {
    if (module->type == "Embedding") add(module);
    if (module->is_composite()) add_routers(*module);
  }
}

bool ReservedLayers::contains(const ir::Module& layer) const {
  const ir::Parameter* weight = weight_of(layer);
  return weight != nullptr && weights_.contains(weight);
}

void ReservedLayers::add(const ir::Module* layer) {
  const ir::Parameter* weight = layer == nullptr ? nullptr : weight_of(*layer);
  if (weight != nullptr) weights_.insert(weight);
}

void ReservedLayers::add_routers(const ir::Module& block) {
  for (const auto& node : block.graph->nodes()) {
    const ir::Module* router = called(block, node.get());
    if (router == nullptr || router->type != "TopKRouter" || node->args.empty()) continue;
    add(called(block, node->args[0].node()));
  }
}

}  // namespace lathe::quantization
