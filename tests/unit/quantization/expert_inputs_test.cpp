// Experts share the scale of their inputs, whoever saw tokens.
#include "quantization/expert_inputs.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <numeric>

#include "ops/interpreter.h"
#include "quantization/calib/max_calibration.h"
#include "testing.h"

namespace lathe::quantization {
namespace {

using ir::GraphBuilder;
using ir::ModulePtr;
using ir::Node;

constexpr int64_t kExperts = 3;

ModulePtr linear(const at::Tensor& weight) {
  ModulePtr module = ir::make_module("Linear");
  module->parameters.set("weight", std::make_shared<ir::Parameter>(weight));
  return module;
}

/// x -> down(up(x)), up the identity.
ModulePtr expert(double down) {
  GraphBuilder graph;
  Node* inner = graph.call_module("up", {graph.placeholder("x")});
  graph.output(graph.call_module("down", {inner}));
  ModulePtr module = ir::make_module("Expert");
  module->graph = graph.build();
  module->add_child("up", linear(at::eye(kExperts)));
  module->add_child("down", linear(at::eye(kExperts) * down));
  return module;
}

/// Each token goes to the expert of its largest element.
ModulePtr mixture() {
  GraphBuilder graph;
  Node* x = graph.placeholder("x");
  Node* routes = graph.call_module("topk", {x});
  Node* weights = graph.call_op("builtin::getitem", {routes, 0});
  Node* chosen = graph.call_op("builtin::getitem", {routes, 1});
  Node* assigned = graph.call_op("lathe::assign_experts", {chosen, kExperts});
  Node* pairs = graph.call_op("builtin::getitem", {assigned, 0});
  Node* bounds = graph.call_op("builtin::getitem", {assigned, 1});
  ir::Argument::List outputs;
  ModulePtr module = ir::make_module("Mixture");
  ir::Module& experts = module->add_child("experts", ir::make_module("ModuleList"));
  for (int64_t e = 0; e < kExperts; ++e) {
    experts.add_child(std::to_string(e), expert(2.0));
    Node* rows = graph.call_op("lathe::expert_rows", {x, pairs, bounds, 1, e});
    outputs.push_back(graph.call_module("experts." + std::to_string(e), {rows}));
  }
  graph.named_output(
      {{"y", graph.call_op("lathe::combine_experts", {std::move(outputs), weights, pairs})}});
  module->graph = graph.build();
  ir::Module& router = module->add_child("topk", ir::make_module("TopKRouter"));
  router.attributes.set("score", std::string("softmax"));
  router.attributes.set("normalize", false);
  router.attributes.set("scaling", 1.0);
  for (const char* name : {"top_k", "groups", "top_groups"})
    router.attributes.set(name, int64_t{1});
  return module;
}

std::vector<size_t> everything(size_t count) {
  std::vector<size_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  return indices;
}

TEST(ExpertInputs, OneProjectionOfAllExpertsIsAGroup) {
  const ModulePtr model = mixture();
  const Conversion conversion =
      convert_all(*model, resolver_of({{"*input_quantizer", attributes_of("fp8")}}));
  ASSERT_EQ(conversion.expert_inputs.size(), 2u);
  for (const auto& group : conversion.expert_inputs) EXPECT_EQ(group.size(), 3u);
  EXPECT_EQ(conversion.layers[conversion.expert_inputs[1][2]].path, "experts.2.up");
}

TEST(ExpertInputs, ExpertsWithoutTokensHaveTheScaleOfTheOthers) {
  const ModulePtr model = mixture();
  const Conversion conversion =
      convert_all(*model, resolver_of({{"*input_quantizer", attributes_of("fp8")}}));
  MaxCalibration calibration(conversion, everything(conversion.groups.size()), {});
  calibration.begin();
  ops::Interpreter interpreter(leaf_table());
  const at::Tensor x = at::tensor({5.0, 1.0, 0.0, 2.0, 3.0, 1.0}, at::kFloat).view({2, 3});
  run_model(interpreter, *model, {{"x", x}});  // nothing for the third
  calibration.finish({});
  for (const QuantizedLayer& layer : conversion.layers) {
    ASSERT_TRUE(layer.input->has_scales()) << layer.path;
    EXPECT_FLOAT_EQ(layer.input->scales().values.at(0), 5.0f / 448.0f) << layer.path;
  }
  EXPECT_TRUE(unseen_quantizers(conversion).empty());
  EXPECT_FLOAT_EQ(conversion.find("experts.1.up")->input->amax().at(0), 3.0f);
}

TEST(ExpertInputs, AllExpertsSeeAllTokensAndTheOutputsStay) {
  const ModulePtr model = mixture();
  const Conversion conversion =
      convert_all(*model, resolver_of({{"*input_quantizer", attributes_of("fp8")}}));
  MaxCalibration calibration(conversion, everything(conversion.groups.size()), {});
  const at::Tensor x = at::tensor({5.0, 1.0, 0.0, 2.0, 3.0, 1.0}, at::kFloat).view({2, 3});
  ops::Interpreter interpreter(leaf_table());
  calibration.begin();
  const at::Tensor expected = run_model(interpreter, *model, {{"x", x}}).at("y");
  calibration.begin();
  model->graph = graph_of_all_experts(*model->graph);
  ASSERT_NE(model->graph, nullptr);
  EXPECT_TRUE(at::equal(run_model(interpreter, *model, {{"x", x}}).at("y"), expected));
  for (const QuantizedLayer& layer : conversion.layers)
    EXPECT_FLOAT_EQ(layer.input->amax().at(0), 5.0f) << layer.path;
}

TEST(ExpertInputs, GraphsWithoutExpertsAreLeftAlone) {
  EXPECT_EQ(graph_of_all_experts(*expert(1.0)->graph), nullptr);
}

}  // namespace
}  // namespace lathe::quantization
