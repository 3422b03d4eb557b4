// Errors name the module's path, the node, and what is wrong.
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "lathe/error.h"
#include "ops/interpreter.h"

namespace lathe::ops {
namespace {

/// The error of a Layer at "layers.0" that a model calls with x [2, 3].
template <typename Expected>
std::string error_of(const std::string& nodes, const std::string& members = "") {
  const ir::ModulePtr model = ir::parse_module(
      "module Model { graph @1 { %x = placeholder \"x\" %y = call_module layers.0(%x) output(%y) "
      "}\n"
      "child layers: ModuleList { child 0: Layer { " +
      members + " graph @2 { %x = placeholder \"x\"\n" + nodes + " } } } }");
  Interpreter interpreter;
  try {
    run_model(interpreter, *model, {{"x", at::ones({2, 3})}});
  } catch (const Expected& error) {
    return error.what();
  }
  return "no error";
}

TEST(InterpreterErrors, UnknownOperators) {
  EXPECT_EQ(error_of<UserError>("%y = call_op aten::no_such_thing(%x) output(%y)"),
            "layers.0: node y: this LibTorch has no operator aten::no_such_thing");
  EXPECT_EQ(error_of<UserError>("%y = call_op aten::add.Wrong(%x) output(%y)"),
            "layers.0: node y: this LibTorch has no operator aten::add.Wrong");
  EXPECT_EQ(error_of<UserError>("%y = call_op add(%x) output(%y)"),
            "layers.0: node y: this LibTorch has no operator add");
}

TEST(InterpreterErrors, ArgumentsThatTheSchemaDoesNotKnow) {
  EXPECT_EQ(error_of<InternalError>("%y = call_op aten::add.Tensor(%x) output(%y)"),
            "layers.0: node y: argument other of aten::add.Tensor is missing");
  EXPECT_EQ(error_of<InternalError>("%y = call_op aten::neg(%x, 1) output(%y)"),
            "layers.0: node y: aten::neg takes 1 arguments, 2 are given");
  EXPECT_EQ(error_of<InternalError>("%y = call_op aten::neg(%x, beta=1) output(%y)"),
            "layers.0: node y: aten::neg does not take all of the names it is given");
  EXPECT_EQ(error_of<InternalError>("%y = call_op aten::add.Tensor(%x, %x, other=%x) output(%y)"),
            "layers.0: node y: aten::add.Tensor does not take all of the names it is given");
  EXPECT_EQ(error_of<InternalError>("%y = call_op aten::neg([%x]) output(%y)"),
            "layers.0: node y: a list is given where Tensor is wanted");
}

TEST(InterpreterErrors, TensorsThatDoNotFit) {
  const std::string shape = error_of<DataError>("%y = call_op aten::matmul(%x, %x) output(%y)");
  EXPECT_EQ(shape.substr(0, 33), "layers.0: node y (aten::matmul): ");
  EXPECT_NE(shape.find("2x3"), std::string::npos) << shape;
  const std::string type = error_of<DataError>("%y = call_op aten::neg(\"x\") output(%y)");
  EXPECT_EQ(type.substr(0, 30), "layers.0: node y (aten::neg): ");
}

TEST(InterpreterErrors, ErrorsOfLeavesNameTheCall) {
  const std::string leaf = "child fc: Linear { parameter weight: f32[4, 5] &1 }";
  EXPECT_EQ(error_of<InternalError>("%y = call_module fc() output(%y)", leaf),
            "layers.0.fc: Linear needs a tensor as argument 0");
  EXPECT_EQ(error_of<UserError>("%y = call_module fc(%x) output(%y)", "child fc: Magic {}"),
            "layers.0.fc: modules of type Magic cannot be run");
}

TEST(InterpreterErrors, ItemsThatAreNotThere) {
  const std::string split = "%s = call_op aten::split.Tensor(%x, 1) ";
  EXPECT_EQ(error_of<DataError>(split + "%y = call_op builtin::getitem(%s, 2) output(%y)"),
            "layers.0: node y: item 2 of 2 values is asked for");
  EXPECT_EQ(error_of<DataError>(split + "%y = call_op builtin::getitem(%s, -1) output(%y)"),
            "layers.0: node y: item -1 of 2 values is asked for");
  EXPECT_EQ(error_of<InternalError>(split + "%y = call_op builtin::getitem(%s) output(%y)"),
            "layers.0: node y: builtin::getitem takes a value and an index");
  EXPECT_EQ(error_of<DataError>("%y = call_op builtin::getitem(%x, 0) output(%y)").substr(0, 16),
            "layers.0: node y");
}

TEST(InterpreterErrors, ArgumentsOfComposites) {
  const std::string child =
      "child mlp: Mlp { graph @3 { %a = placeholder \"a\" %b = placeholder \"b\" output(%a) } }";
  EXPECT_EQ(error_of<InternalError>("%y = call_module mlp(%x) output(%y)", child),
            "layers.0.mlp: argument b is missing");
  EXPECT_EQ(error_of<InternalError>("%y = call_module mlp(%x, %x, %x) output(%y)", child),
            "layers.0.mlp: 3 arguments are given, 2 are taken");
}

TEST(InterpreterErrors, GraphsAreVerifiedBeforeTheyRun) {
  EXPECT_EQ(error_of<InternalError>("%y = get_attr weight output(%y)"),
            "layers.0: node y reads weight, which Layer does not have");
  EXPECT_EQ(error_of<InternalError>("%y = call_module mlp(%x) output(%y)"),
            "layers.0: node y calls mlp, which Layer does not have");
}

TEST(InterpreterErrors, TheRootIsNamedByItsType) {
  const ir::ModulePtr model = ir::parse_module(
      "module Model { graph @1 { %x = placeholder \"x\" %y = call_op aten::neg() output(%y) } }");
  Interpreter interpreter;
  try {
    run_model(interpreter, *model, {{"x", at::ones({1})}});
    FAIL() << "an argument is missing";
  } catch (const InternalError& error) {
    EXPECT_STREQ(error.what(), "Model: node y: argument self of aten::neg is missing");
  }
}

TEST(InterpreterErrors, ModelsMustHaveAGraphAndATensorAsValue) {
  Interpreter interpreter;
  EXPECT_THROW(run_model(interpreter, ir::Module("Model"), {}), InternalError);
  const ir::ModulePtr model = ir::parse_module("module Model { graph @1 { output(1) } }");
  EXPECT_THROW(run_model(interpreter, *model, {}), InternalError);
}

}  // namespace
}  // namespace lathe::ops
