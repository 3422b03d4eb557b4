#include "frontends/huggingface/expert_modules.h"

#include <fmt/format.h>

#include "frontends/huggingface/activation.h"
#include "frontends/huggingface/decoder_graphs.h"
#include "frontends/huggingface/expert_weights.h"

namespace lathe::frontends {
namespace {

using ir::Argument;
using ir::GraphBuilder;
using ir::join_path;
using ir::ModulePtr;
using ir::Node;

constexpr const char* kMlp = "mlp";
constexpr const char* kCorrection = "e_score_correction_bias";

/// The name of a tensor that transformers has in memory below ".mlp.", as checkpoints have it.
std::string with_block(const std::string& name, const std::string& block) {
  const std::string own = fmt::format(".{}.", kMlp);
  const size_t place = name.find(own);
  return place == name.npos
             ? name
             : name.substr(0, place + 1) + block + name.substr(place + own.size() - 1);
}

ir::GraphPtr block_graph(const ExpertsConfig& experts) {
  GraphBuilder graph;
  Node* x = graph.placeholder("hidden_states");
  Node* tokens = graph.call_op("aten::flatten.using_ints", {x, 0, 1});
  std::vector<Argument> routed = {graph.call_module(experts.router, {tokens})};
  if (experts.router_correction) {
    routed.push_back(graph.get_attr(join_path(experts.router, kCorrection)));
  }
  Node* routes = graph.call_module("topk", std::move(routed));
  Node* weights = graph.call_op("builtin::getitem", {routes, 0}, {}, "weights");
  Node* chosen = graph.call_op("builtin::getitem", {routes, 1}, {}, "chosen");
  Node* assigned = graph.call_op("lathe::assign_experts", {chosen, experts.num_experts});
  Node* pairs = graph.call_op("builtin::getitem", {assigned, 0}, {}, "pairs");
  Node* bounds = graph.call_op("builtin::getitem", {assigned, 1}, {}, "bounds");
  Argument::List outputs;
  for (int64_t e = 0; e < experts.num_experts; ++e) {
    Node* own = graph.call_op("lathe::expert_rows", {tokens, pairs, bounds, experts.top_k, e}, {},
                              fmt::format("rows_{}", e));
    outputs.push_back(graph.call_module(fmt::format("experts.{}", e), {own}));
  }
  Node* sum = graph.call_op("lathe::combine_experts", {std::move(outputs), weights, pairs});
  if (experts.shared_size > 0) {
    sum = graph.call_op("aten::add.Tensor", {sum, graph.call_module("shared_experts", {tokens})});
  }
  graph.output(graph.call_op("aten::view_as", {sum, x}));
  return graph.build();
}

/// gpt-oss: (up + 1) * gate * sigmoid(alpha * gate), gate and up clamped, their columns in turn.
ir::GraphPtr clamped_expert_graph(const ExpertsConfig& experts) {
  GraphBuilder graph;
  Node* both = graph.call_module("gate_up_proj", {graph.placeholder("x")});
  Node* gate = graph.call_op("aten::slice.Tensor", {both, -1, 0, Argument(), 2});
  Node* up = graph.call_op("aten::slice.Tensor", {both, -1, 1, Argument(), 2});
  gate = graph.call_op("aten::clamp_max", {gate, experts.limit});
  up = graph.call_op("aten::clamp", {up, -experts.limit, experts.limit});
  Node* scaled = graph.call_op("aten::mul.Scalar", {gate, experts.alpha});
  Node* share = graph.call_op("aten::sigmoid", {scaled});
  Node* gated = graph.call_op("aten::mul.Tensor", {gate, share});
  Node* shifted = graph.call_op("aten::add.Scalar", {up, 1.0});
  Node* product = graph.call_op("aten::mul.Tensor", {shifted, gated});
  graph.output(graph.call_module("down_proj", {product}));
  return graph.build();
}

}  // namespace

ExpertModules::ExpertModules(const DecoderConfig& config, LeafModules& leaves)
    : config_(config), experts_(*config.experts), leaves_(leaves) {
  if (experts_.block == kMlp) return;
  leaves_.weights().rename(
      [&](const std::string& name) { return with_block(name, experts_.block); });
}

void ExpertModules::make_graphs() {
  block_graph_ = block_graph(experts_);
  expert_graph_ = experts_.interleaved
                      ? clamped_expert_graph(experts_)
                      : gated_mlp_graph(experts_.gate_name, experts_.up_name, experts_.down_name);
  shared_graph_ = gated_mlp_graph("gate_proj", "up_proj", "down_proj");
}

ModulePtr ExpertModules::router(const std::string& path) {
  ModulePtr module =
      leaves_.linear(path, experts_.num_experts, config_.hidden_size, experts_.router_bias);
  if (experts_.router_float32) module->type = "Float32Linear";
  if (experts_.router_correction) {
    module->parameters.set(kCorrection, leaves_.weights().take_as_stored(
                                            join_path(path, kCorrection), {experts_.num_experts}));
  }
  return module;
}

ModulePtr ExpertModules::top_k() const {
  ModulePtr module = ir::make_module("TopKRouter");
  module->attributes.set("score", experts_.score);
  module->attributes.set("top_k", experts_.top_k);
  module->attributes.set("normalize", experts_.normalize);
  module->attributes.set("scaling", experts_.scaling);
  module->attributes.set("groups", experts_.groups);
  module->attributes.set("top_groups", experts_.top_groups);
  return module;
}

ModulePtr ExpertModules::gated_mlp(const std::string& path, int64_t size, const ir::GraphPtr& graph,
                                   const ExpertsConfig& names) {
  const int64_t hidden = config_.hidden_size;
  ModulePtr module = composite(config_.family + "MLP", graph);
  const auto project = [&](const std::string& name, int64_t out, int64_t in) {
    module->add_child(name, leaves_.linear(join_path(path, name), out, in, false));
  };
  project(names.gate_name, size, hidden);
  project(names.up_name, size, hidden);
  project(names.down_name, hidden, size);
  module->add_child("act_fn", make_activation(config_.mlp.activation));
  return module;
}

ModulePtr ExpertModules::expert(const std::string& path) {
  if (!experts_.interleaved) return gated_mlp(path, experts_.size, expert_graph_, experts_);
  ModulePtr module = composite(config_.family + "MLP", expert_graph_);
  module->add_child("gate_up_proj", leaves_.linear(join_path(path, "gate_up_proj"),
                                                   2 * experts_.size, config_.hidden_size, true));
  module->add_child("down_proj", leaves_.linear(join_path(path, "down_proj"), config_.hidden_size,
                                                experts_.size, true));
  return module;
}

ModulePtr ExpertModules::build(const std::string& layer_path) {
  const std::string path = join_path(layer_path, experts_.block);
  const std::string experts_path = join_path(path, "experts");
  split_fused_experts(experts_path, experts_, config_.hidden_size, leaves_.weights().store());
  leaves_.weights().check_count("the number of experts", experts_.num_experts);
  if (experts_.interleaved) {
    for (const char* name : {"gate_up_proj", "down_proj"})
      leaves_.weights().store().fuse(fused_linears(experts_path, name, experts_.num_experts));
  }
  if (!block_graph_) make_graphs();
  ModulePtr module = composite(config_.family + "SparseMoeBlock", block_graph_);
  module->add_child(experts_.router, router(join_path(path, experts_.router)));
  module->add_child("topk", top_k());
  ir::Module& list = module->add_child("experts", ir::make_module("ModuleList"));
  for (int64_t e = 0; e < experts_.num_experts; ++e) {
    const std::string name = std::to_string(e);
    list.add_child(name, expert(join_path(experts_path, name)));
  }
  if (experts_.shared_size > 0) {
    module->add_child("shared_experts", gated_mlp(join_path(path, "shared_experts"),
                                                  experts_.shared_size, shared_graph_, {}));
  }
  return module;
}

}  // namespace lathe::frontends
