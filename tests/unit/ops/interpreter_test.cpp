#include "ops/interpreter.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "lathe/error.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

/// Runs a graph of one input x, given as its nodes after "%x = placeholder".
c10::IValue run(const std::string& nodes, const at::Tensor& x) {
  Interpreter interpreter;
  const ir::ModulePtr module =
      ir::parse_module("module Test {\n graph @1 {\n %x = placeholder \"x\"\n" + nodes + "\n }\n}");
  return interpreter.call("test", *module, {x});
}

void expect_value(const std::string& nodes, const at::Tensor& x, const at::Tensor& expected) {
  const at::Tensor found = run(nodes, x).toTensor();
  EXPECT_TRUE(found.scalar_type() == expected.scalar_type() && found.equal(expected)) << nodes;
}

TEST(Interpreter, ArgumentsByPositionAndName) {
  const at::Tensor x = at::arange(6, at::kFloat).view({2, 3});
  expect_value("%y = call_op aten::add.Tensor(%x, %x)\noutput(%y)", x, x * 2);
  expect_value("%y = call_op aten::add.Tensor(%x, %x, alpha=2)\noutput(%y)", x, x * 3);
  expect_value("%y = call_op aten::add.Tensor(self=%x, other=%x, alpha=0.5)\noutput(%y)", x,
               x * 1.5);
  expect_value("%y = call_op aten::softmax.int(%x, -1)\noutput(%y)", x, x.softmax(-1));
  expect_value("%y = call_op aten::softmax.int(%x, dim=0, dtype=@f64)\noutput(%y)", x,
               x.softmax(0, at::kDouble));
}

TEST(Interpreter, ArgumentsBecomeWhatTheSchemaSays) {
  const at::Tensor x = random_tensor({2, 4}, at::kFloat, 1);
  expect_value("%y = call_op aten::layer_norm(%x, [4], None, None, 1)\noutput(%y)", x,
               at::layer_norm(x, {4}, {}, {}, 1.0));
  expect_value("%y = call_op aten::layer_norm(%x, 4)\noutput(%y)", x, at::layer_norm(x, {4}));
  expect_value("%y = call_op aten::sum.dim_IntList(%x, [0, 1], True)\noutput(%y)", x,
               x.sum(at::IntArrayRef({0, 1}), true));
  expect_value("%y = call_op aten::to.dtype(%x, @bf16)\noutput(%y)", x, x.to(at::kBFloat16));
  expect_value("%y = call_op aten::gelu(%x, approximate=\"tanh\")\noutput(%y)", x,
               at::gelu(x, "tanh"));
  expect_value("%y = call_op aten::mul.Scalar(%x, 3)\noutput(%y)", x, x * 3);
  expect_value("%y = call_op aten::clamp(%x, None, 0.5)\noutput(%y)", x,
               x.clamp(std::nullopt, 0.5));
}

TEST(Interpreter, ListsGetTheirElementType) {
  const at::Tensor x = random_tensor({2, 4}, at::kFloat, 1);
  expect_value("%y = call_op aten::cat([%x, %x], 1)\noutput(%y)", x, at::cat({x, x}, 1));
  expect_value(
      "%i = call_op aten::arange(2)\n%y = call_op aten::index.Tensor(%x, [None, %i])\noutput(%y)",
      x, x.slice(1, 0, 2));
  const at::Tensor image = random_tensor({1, 1, 2, 2}, at::kFloat, 1);
  const at::Tensor larger = image.repeat_interleave(2, 2).repeat_interleave(2, 3);
  expect_value("%y = call_op aten::upsample_nearest2d.vec(%x, None, [2, 2.0])\noutput(%y)", image,
               larger);
  expect_value(
      "%n = call_op aten::sym_size.int(%x, 1)\n"
      "%y = call_op aten::reshape(%x, [%n, -1])\noutput(%y)",
      x, x.reshape({4, 2}));
}

TEST(Interpreter, ItemsOfSeveralValues) {
  const at::Tensor x = random_tensor({2, 6}, at::kFloat, 1);
  expect_value(
      "%s = call_op aten::split.Tensor(%x, 2, 1)\n"
      "%y = call_op builtin::getitem(%s, 2)\noutput(%y)",
      x, x.slice(1, 4, 6));
  expect_value(
      "%s = call_op aten::topk(%x, 2)\n"
      "%y = call_op builtin::getitem(%s, 1)\noutput(%y)",
      x, std::get<1>(x.topk(2)));
}

TEST(Interpreter, LathesOperatorsAreRegistered) {
  const at::Tensor ids = at::ones({2, 3}, at::kLong);
  expect_value("%y = call_op lathe::position_ids(%x)\noutput(%y)", ids,
               at::arange(3, at::kLong).unsqueeze(0));
}

constexpr const char* kNested = R"(module Outer {
  graph @1 {
    %x = placeholder "x"
    %mask = placeholder "mask" default None
    %both = call_module inner.pair(%x)
    %first = call_op builtin::getitem(%both, 0)
    %second = call_op builtin::getitem(%both, 1)
    %scaled = call_module scale(%first)
    %linear = call_module linear(%scaled)
    %bias = get_attr inner.bias
    %sum = call_op aten::add.Tensor(%linear, %bias)
    output(y=%sum, second=%second, mask=%mask)
  }
  child inner: ModuleList {
    buffer bias: f32[5] &1
    child pair: Pair {
      graph @2 {
        %x = placeholder "x"
        %double = call_op aten::add.Tensor(%x, %x)
        output([%double, %x])
      }
    }
  }
  child scale: Scale {
    graph @3 {
      %x = placeholder "x"
      %factor = placeholder "factor" default 3
      %y = call_op aten::mul.Scalar(%x, %factor)
      output(%y)
    }
  }
  child linear: Linear {
    parameter weight: f32[5, 4] &2
  }
})";

TEST(Interpreter, RunsNestedModels) {
  const ir::ModulePtr model = ir::parse_module(kNested);
  const at::Tensor weight = random_tensor({5, 4}, at::kFloat, 1);
  const at::Tensor bias = random_tensor({5}, at::kFloat, 2);
  model->find_parameter("linear.weight")->set(weight);
  model->find_parameter("inner.bias")->set(bias);
  const at::Tensor x = random_tensor({2, 4}, at::kFloat, 3);
  Interpreter interpreter;
  const at::Tensor expected = at::linear(x * 6, weight) + bias;

  NamedTensors outputs = run_model(interpreter, *model, {{"x", x}, {"unknown", x}});
  EXPECT_EQ(outputs.size(), 2u) << "the mask is None";
  EXPECT_TRUE(outputs.at("y").equal(expected));
  EXPECT_TRUE(outputs.at("second").equal(x));

  outputs = run_model(interpreter, *model, {{"x", x}, {"mask", bias}});
  EXPECT_TRUE(outputs.at("mask").equal(bias));
  EXPECT_TRUE(outputs.at("y").equal(expected)) << "the second run, with the plans of the first";
}

TEST(Interpreter, InputsAndTheirNames) {
  const ir::ModulePtr model = ir::parse_module(kNested);
  const std::vector<std::pair<std::string, bool>> expected = {{"x", true}, {"mask", false}};
  EXPECT_EQ(model_inputs(*model), expected);
  const std::vector<c10::IValue> bound = bind_inputs(*model->graph, {{"x", at::ones({1})}});
  EXPECT_TRUE(bound.at(0).isTensor());
  EXPECT_TRUE(bound.at(1).isNone());
  try {
    bind_inputs(*model->graph, {{"mask", at::ones({1})}});
    FAIL() << "x is required";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "the model's input \"x\" is missing");
  }
}

TEST(Interpreter, OneOutputWithoutAName) {
  const ir::ModulePtr model = ir::parse_module(
      "module A { graph @1 { %x = placeholder \"x\" %y = call_op aten::neg(%x) output(%y) } }");
  Interpreter interpreter;
  const at::Tensor x = at::ones({2});
  EXPECT_TRUE(run_model(interpreter, *model, {{"x", x}}).at("output").equal(-x));
}

TEST(Interpreter, ConstantsCanBeOutputs) {
  EXPECT_EQ(run("output([1, 2.5, \"a\", None, True])", at::ones({1})).toListRef().size(), 5u);
}

TEST(Interpreter, ForgetsPlansOfRewrittenGraphs) {
  const ir::ModulePtr model = ir::parse_module(
      "module A { graph @1 { %x = placeholder \"x\" %y = call_op aten::neg(%x) output(%y) } }");
  Interpreter interpreter;
  const at::Tensor x = at::ones({2});
  interpreter.call("", *model, {x});
  model->graph = ir::parse_graph("%x = placeholder \"x\" %y = call_op aten::exp(%x) output(%y)");
  interpreter.forget();
  EXPECT_TRUE(interpreter.call("", *model, {x}).toTensor().equal(x.exp()));
}

}  // namespace
}  // namespace lathe::ops
