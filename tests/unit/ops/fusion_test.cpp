// Which pairs of nodes run as one kernel, and that this does not change values.
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "ops/interpreter.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

/// A Block with inputs x and y, a SiLU "act" and an RMSNorm "norm" [8].
ir::ModulePtr block(const std::string& nodes) {
  ir::ModulePtr module = ir::parse_module(
      "module Block { graph @1 { %x = placeholder \"x\" %y = placeholder \"y\"\n" + nodes +
      " }\nchild act: SiLU {}\nchild norm: RMSNorm { attribute eps = 0.00001\n"
      "parameter weight: bf16[8] &1 }\nchild other: RMSNorm { attribute eps = 0.1\n"
      "attribute weight_offset = 1.0 parameter weight: bf16[8] &2 } }");
  module->find_parameter("norm.weight")->set(random_tensor({8}, at::kBFloat16, 8));
  module->find_parameter("other.weight")->set(random_tensor({8}, at::kBFloat16, 9));
  return module;
}

struct Fusions {
  size_t swiglu = 0;
  size_t add_rms_norm = 0;
  size_t steps = 0;

  bool operator==(const Fusions&) const = default;
};

Fusions fusions(const ir::Module& module, bool fuse = true) {
  Fusions found;
  for (const Step& step : ExecutionPlan::make("", module, *module.graph, fuse).steps) {
    found.swiglu += step.kind == Step::Kind::kSwiGlu;
    found.add_rms_norm += step.kind == Step::Kind::kAddRmsNorm;
    ++found.steps;
  }
  return found;
}

std::vector<at::Tensor> values(const ir::Module& module, bool fuse, const at::Tensor& x,
                               const at::Tensor& y) {
  Interpreter interpreter;
  interpreter.set_fusion(fuse);
  const c10::IValue value = interpreter.call("", module, {x, y});
  if (value.isTensor()) return {value.toTensor()};
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& item : value.toListRef()) tensors.push_back(item.toTensor());
  return tensors;
}

/// The fusions that are found, and values that are those without fusion, but for `steps`.
void expect_fused(const std::string& nodes, size_t swiglu, size_t add_rms_norm,
                  int64_t steps_apart) {
  SCOPED_TRACE(nodes);
  const ir::ModulePtr module = block(nodes);
  const size_t nodes_in_graph = module->graph->nodes().size();
  EXPECT_EQ(fusions(*module),
            (Fusions{swiglu, add_rms_norm, nodes_in_graph - swiglu - add_rms_norm}));
  EXPECT_EQ(fusions(*module, false), (Fusions{0, 0, nodes_in_graph}));
  const at::Tensor x = random_tensor({3, 5, 8}, at::kBFloat16, 1);
  const at::Tensor y = random_tensor({3, 5, 8}, at::kBFloat16, 2);
  const auto fused = values(*module, true, x, y);
  const auto separate = values(*module, false, x, y);
  ASSERT_EQ(fused.size(), separate.size());
  for (size_t i = 0; i < fused.size(); ++i) {
    EXPECT_LE(most_steps(fused[i], separate[i]), steps_apart);
  }
}

TEST(Fusion, SiluTimesAnother) {
  expect_fused("%a = call_module act(%x) %m = call_op aten::mul.Tensor(%a, %y) output(%m)", 1, 0,
               2);
  expect_fused("%a = call_module act(%x) %m = call_op aten::mul.Tensor(%y, %a) output(%m)", 1, 0,
               2);
  // The other factor is computed after the SiLU.
  expect_fused(
      "%a = call_module act(%x) %n = call_op aten::neg(%y) %m = call_op aten::mul.Tensor(%a, %n) "
      "output(%m)",
      1, 0, 2);
  expect_fused(
      "%a = call_module act(%x) %b = call_module act(%y) %m = call_op aten::mul.Tensor(%a, %b) "
      "output(%m)",
      1, 0, 2);
}

TEST(Fusion, NotIfSiluIsReadTwice) {
  expect_fused("%a = call_module act(%x) %m = call_op aten::mul.Tensor(%a, %y) output([%m, %a])", 0,
               0, 0);
  expect_fused("%a = call_module act(%x) %m = call_op aten::mul.Tensor(%a, %a) output(%m)", 0, 0,
               0);
}

TEST(Fusion, NotIfItIsNotAPlainProduct) {
  expect_fused("%a = call_module act(%x) %m = call_op aten::mul.Scalar(%a, 2) output(%m)", 0, 0, 0);
  expect_fused("%a = call_module act(%x) %m = call_op aten::mul.Tensor(%a, other=%y) output(%m)", 0,
               0, 0);
  expect_fused("%a = call_module act(%x) %m = call_op aten::add.Tensor(%a, %y) output(%m)", 0, 0,
               0);
}

TEST(Fusion, SumBeforeANorm) {
  expect_fused("%s = call_op aten::add.Tensor(%x, %y) %n = call_module norm(%s) output([%s, %n])",
               0, 1, 0);
  expect_fused("%s = call_op aten::add.Tensor(%x, %y) %n = call_module norm(%s) output(%n)", 0, 1,
               0);
  expect_fused("%s = call_op aten::add.Tensor(%x, %x) %n = call_module other(%s) output([%n, %s])",
               0, 1, 0);
  // Two norms of one sum: the first is fused. The sum has other readers, before and after.
  expect_fused(
      "%s = call_op aten::add.Tensor(%x, %y) %g = call_op aten::neg(%s) %n = call_module norm(%s) "
      "%o = call_module other(%s) %r = call_op aten::add.Tensor(%n, %s) output([%g, %n, %o, %r])",
      0, 1, 0);
  // Sum after sum, as residuals are.
  expect_fused(
      "%s = call_op aten::add.Tensor(%x, %y) %n = call_module norm(%s) "
      "%t = call_op aten::add.Tensor(%s, %n) %o = call_module other(%t) output([%t, %o])",
      0, 2, 0);
}

TEST(Fusion, NotIfItIsNotAPlainSum) {
  expect_fused(
      "%s = call_op aten::add.Tensor(%x, %y, alpha=2) %n = call_module norm(%s) output([%s, %n])",
      0, 0, 0);
  expect_fused("%s = call_op aten::add.Tensor(%x, %y, 2) %n = call_module norm(%s) output(%n)", 0,
               0, 0);
  expect_fused("%s = call_op aten::add.Scalar(%x, 1) %n = call_module norm(%s) output(%n)", 0, 0,
               0);
  expect_fused("%s = call_op aten::sub.Tensor(%x, %y) %n = call_module norm(%s) output(%n)", 0, 0,
               0);
  expect_fused("%s = call_op aten::add.Tensor(%x, %y) %n = call_module act(%s) output(%n)", 0, 0,
               0);
}

TEST(Fusion, NotIfTheLeafBecameAComposite) {
  const ir::ModulePtr module = block(
      "%s = call_op aten::add.Tensor(%x, %y) %n = call_module norm(%s)\n"
      "%a = call_module act(%n) %m = call_op aten::mul.Tensor(%a, %s) output(%m)");
  EXPECT_EQ(fusions(*module), (Fusions{1, 1, 5}));
  const ir::GraphPtr identity = ir::parse_graph("%x = placeholder \"x\" output(%x)");
  module->at("norm").graph = identity;
  module->at("act").graph = identity;
  EXPECT_EQ(fusions(*module), (Fusions{0, 0, 7}));
}

TEST(Fusion, OtherShapesAndTypesRunSeparately) {
  const ir::ModulePtr module = block(
      "%a = call_module act(%x) %m = call_op aten::mul.Tensor(%a, %y)\n"
      "%s = call_op aten::add.Tensor(%m, %y) %n = call_module norm(%s) output([%m, %s, %n])");
  EXPECT_EQ(fusions(*module), (Fusions{1, 1, 5}));
  const at::Tensor x = random_tensor({3, 1, 8}, at::kBFloat16, 1);
  const at::Tensor y = random_tensor({4, 8}, at::kBFloat16, 2);
  const auto fused = values(*module, true, x, y);
  const auto separate = values(*module, false, x, y);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(fused[i].equal(separate[i])) << i;
}

TEST(Fusion, SwitchingItForgetsPlans) {
  const ir::ModulePtr module =
      block("%s = call_op aten::add.Tensor(%x, %y) %n = call_module norm(%s) output(%n)");
  Interpreter interpreter;
  EXPECT_TRUE(interpreter.fusion());
  const at::Tensor x = random_tensor({2, 8}, at::kBFloat16, 1);
  const at::Tensor first = interpreter.call("", *module, {x, x}).toTensor();
  interpreter.set_fusion(false);
  EXPECT_FALSE(interpreter.fusion());
  EXPECT_TRUE(interpreter.call("", *module, {x, x}).toTensor().equal(first));
}

}  // namespace
}  // namespace lathe::ops
