#include "unit/ops/small_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <random>

#include "base/error.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

using ir::Argument;
using ir::Node;

class Builder {
 public:
  ir::ModulePtr model() {
    ir::ModulePtr root = ir::make_module("SmallForCausalLM");
    root->graph = root_graph();
    add_model(root->add_child("model", ir::make_module("SmallModel")));
    add_linear(*root, "lm_head", 11, 8);
    return root;
  }

 private:
  ir::ParameterPtr parameter(std::vector<int64_t> shape) {
    return std::make_shared<ir::Parameter>(random_tensor(std::move(shape), at::kFloat, seed_++));
  }

  void add_linear(ir::Module& module, const std::string& name, int64_t out, int64_t in) {
    ir::Module& linear = module.add_child(name, ir::make_module("Linear"));
    linear.parameters.set("weight", parameter({out, in}));
  }

  void add_norm(ir::Module& module, const std::string& name) {
    ir::Module& norm = module.add_child(name, ir::make_module("RMSNorm"));
    norm.attributes.set("eps", 1e-5);
    norm.parameters.set("weight", parameter({8}));
  }

  void add_model(ir::Module& model) {
    model.graph = model_graph();
    ir::Module& embed = model.add_child("embed_tokens", ir::make_module("Embedding"));
    embed.parameters.set("weight", parameter({11, 8}));
    ir::Module& rotary = model.add_child("rotary_emb", ir::make_module("RotaryEmbedding"));
    rotary.attributes.set("attention_scaling", 1.0);
    rotary.buffers.set("inv_freq", parameter({2}));
    ir::Module& layers = model.add_child("layers", ir::make_module("ModuleList"));
    const ir::GraphPtr layer_graph = block_graph();
    for (int i = 0; i < 3; ++i) {
      ir::Module& layer = layers.add_child(fmt::format("{}", i), ir::make_module("SmallLayer"));
      layer.graph = layer_graph;
      layer.is_block = true;
      for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj", "gate", "up", "down"})
        add_linear(layer, name, 8, 8);
      add_norm(layer, "norm1");
      add_norm(layer, "norm2");
      layer.add_child("act", ir::make_module("SiLU"));
    }
    add_norm(model, "norm");
  }

  static ir::GraphPtr root_graph() {
    ir::GraphBuilder g;
    Node* ids = g.placeholder("input_ids");
    Node* positions = g.optional_placeholder("position_ids");
    Node* both = g.call_module("model", {ids, positions});
    Node* hidden = g.call_op("builtin::getitem", {both, 0});
    Node* early = g.call_op("builtin::getitem", {both, 1});
    g.named_output({{"logits", g.call_module("lm_head", {hidden})}, {"early", early}});
    return g.build();
  }

  static ir::GraphPtr model_graph() {
    ir::GraphBuilder g;
    Node* ids = g.placeholder("input_ids");
    Node* positions = g.optional_placeholder("position_ids");
    Node* x = g.call_module("embed_tokens", {ids});
    Node* tables = g.call_module("rotary_emb", {x, positions});
    Node* cos = g.call_op("builtin::getitem", {tables, 0});
    Node* sin = g.call_op("builtin::getitem", {tables, 1});
    Node* early = nullptr;
    for (int i = 0; i < 3; ++i) {
      x = g.call_module(fmt::format("layers.{}", i), {x, cos, sin});
      if (i == 0) early = x;
    }
    g.output(Argument::List{g.call_module("norm", {x}), early});
    return g.build();
  }

  static ir::GraphPtr block_graph() {
    ir::GraphBuilder g;
    Node* x = g.placeholder("x");
    Node* cos = g.placeholder("cos");
    Node* sin = g.placeholder("sin");
    Node* normed = g.call_module("norm1", {x});
    const auto heads = [&](const char* name) {
      Node* split = g.call_op("aten::unflatten.int",
                              {g.call_module(name, {normed}), -1, Argument::List{2, 4}});
      return g.call_op("aten::transpose.int", {split, 1, 2});
    };
    const auto rotated = [&](const char* name) {
      return g.call_op("lathe::rotary_embedding", {heads(name), cos, sin});
    };
    Node* attended =
        g.call_op("lathe::attention", {rotated("q_proj"), rotated("k_proj"), heads("v_proj")});
    Node* joined = g.call_op("aten::transpose.int", {attended, 1, 2});
    Node* flat = g.call_op("aten::flatten.using_ints", {joined, -2});
    Node* sum = g.call_op("aten::add.Tensor", {x, g.call_module("o_proj", {flat})});
    Node* inner = g.call_module("norm2", {sum});
    Node* act = g.call_module("act", {g.call_module("gate", {inner})});
    Node* product = g.call_op("aten::mul.Tensor", {act, g.call_module("up", {inner})});
    g.output(g.call_op("aten::add.Tensor", {sum, g.call_module("down", {product})}));
    return g.build();
  }

  uint32_t seed_ = 100;
};

}  // namespace

ir::ModulePtr small_model() { return Builder().model(); }

NamedTensors small_batch(uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int64_t> ids, positions;
  for (int64_t i = 0; i < 10; ++i) {
    ids.push_back(static_cast<int64_t>(random() % 11));
    positions.push_back(i % 5);
  }
  return {{"input_ids", at::tensor(ids).view({2, 5})},
          {"position_ids", at::tensor(positions).view({2, 5})}};
}

}  // namespace lathe::ops
