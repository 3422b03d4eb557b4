#pragma once

#include <string>

#include "frontends/huggingface/decoder_config.h"
#include "frontends/huggingface/leaf_modules.h"

namespace lathe::frontends {

/// Makes the mixtures of experts of a model. The block of one layer, x [B, T, K] -> [B, T, K], has
/// the router's linear (ExpertsConfig::router), topk (TopKRouter), experts.0, ... and
/// shared_experts if there are any. Each expert is called once, on the tokens that are routed to
/// it.
class ExpertModules {
 public:
  ExpertModules(const DecoderConfig& config, LeafModules& leaves);

  /// The block below the layer at `layer_path`.
  ir::ModulePtr build(const std::string& layer_path);

 private:
  void make_graphs();
  ir::ModulePtr router(const std::string& path);
  ir::ModulePtr top_k() const;
  ir::ModulePtr gated_mlp(const std::string& path, int64_t size, const ir::GraphPtr& graph,
                          const ExpertsConfig& names);
  ir::ModulePtr expert(const std::string& path);

  const DecoderConfig& config_;
  const ExpertsConfig& experts_;
  LeafModules& leaves_;
  ir::GraphPtr block_graph_;
  ir::GraphPtr expert_graph_;
  ir::GraphPtr shared_graph_;
};

}  // namespace lathe::frontends
