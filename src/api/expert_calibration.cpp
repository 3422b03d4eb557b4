#include "api/expert_calibration.h"

#include <algorithm>

#include "base/log.h"
#include "quantization/expert_inputs.h"

namespace lathe::api {
namespace {

/// The path of the list of experts that a block's graph calls, relative to the block; "" if it
/// calls none.
std::string experts_path(const ir::Module& block) {
  for (const auto& node : block.graph->nodes()) {
    if (quantization::calls_expert(*node)) return node->target.substr(0, node->target.rfind('.'));
  }
  return "";
}

const ir::Module* router_of(const ir::Module& block) {
  for (const auto& [name, child] : block.children) {
    if (child->type == "TopKRouter") return child.get();
  }
  return nullptr;
}

}  // namespace

AllExperts::AllExperts(ir::Module& root, const std::vector<std::string>& modules) {
  for (const std::string& path : modules) {
    for (const auto& [below, module] : ir::named_modules(root.at(path))) {
      if (!module->is_composite()) continue;
      ir::GraphPtr all = quantization::graph_of_all_experts(*module->graph);
      if (!all) continue;
      originals_.emplace_back(module, std::exchange(module->graph, std::move(all)));
    }
  }
}

AllExperts::~AllExperts() {
  for (auto& [module, graph] : originals_) module->graph = std::move(graph);
}

std::vector<QuantizeReport::Experts> expert_table(const ir::Module& root,
                                                  const std::vector<std::string>& modules,
                                                  const ops::ExpertCounts& counts) {
  std::vector<QuantizeReport::Experts> table;
  for (const std::string& path : modules) {
    for (const auto& [below, module] : ir::named_modules(root.at(path))) {
      if (!module->is_composite()) continue;
      const std::string experts = experts_path(*module);
      const ir::Module* router = router_of(*module);
      if (experts.empty() || router == nullptr || counts.of(*router).empty()) continue;
      table.push_back({ir::join_path(ir::join_path(path, below), experts), counts.of(*router)});
    }
  }
  return table;
}

void warn_unseen_experts(const std::vector<QuantizeReport::Experts>& table) {
  for (const QuantizeReport::Experts& experts : table) {
    const auto unseen = std::count(experts.tokens.begin(), experts.tokens.end(), 0);
    if (unseen == 0) continue;
    spdlog::warn("{}: {} of {} experts saw no token; their inputs have the scale of the others",
                 experts.path, unseen, experts.tokens.size());
  }
}

}  // namespace lathe::api
