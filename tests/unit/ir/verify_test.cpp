#include "ir/verify.h"

#include <gtest/gtest.h>

#include "ir/text.h"
#include "lathe/error.h"

namespace lathe::ir {
namespace {

/// What verify says of a graph of a Layer at "layers.0" with a child "mlp" and a parameter
/// "weight".
std::string fault(const Graph& graph) {
  Module module("Layer");
  module.parameters.set("weight",
                        std::make_shared<Parameter>(at::kFloat, std::vector<int64_t>{1}, nullptr));
  module.add_child("mlp", make_module("Mlp"));
  try {
    verify("layers.0", module, graph);
  } catch (const InternalError& error) {
    return error.what();
  }
  return "";
}

void expect_fault(const std::string& graph, const std::string& expected) {
  EXPECT_EQ(fault(*parse_graph(graph)), expected) << graph;
}

TEST(Verify, AcceptsWellFormedGraphs) {
  expect_fault(
      "%x = placeholder \"x\"\n%m = placeholder \"m\" default None\n%w = get_attr weight\n"
      "%y = call_module mlp(%x, %m)\n%z = call_op aten::linear(%y, %w)\noutput(%z)",
      "");
  expect_fault("%x = placeholder \"x\"\noutput(a=%x, b=%x)", "");
}

TEST(Verify, FindsEachFault) {
  expect_fault("", "layers.0: the graph has no output at its end");
  expect_fault("output(1)\n%x = placeholder \"x\"", "layers.0: the graph has no output at its end");
  expect_fault("output(1)\noutput(2)", "layers.0: node output is an output that is not last");
  expect_fault("output()", "layers.0: node output needs one value, or values by name");
  expect_fault("output(1, 2)", "layers.0: node output needs one value, or values by name");
  expect_fault("output(1, a=2)", "layers.0: node output needs one value, or values by name");
  expect_fault("%b = get_attr bias\noutput(%b)",
               "layers.0: node b reads bias, which Layer does not have");
  expect_fault("%m = call_module moe()\noutput(%m)",
               "layers.0: node m calls moe, which Layer does not have");
  expect_fault("%m = call_module mlp(x=1)\noutput(%m)",
               "layers.0: node m gives mlp arguments by name");
}

TEST(Verify, FindsTwoNodesOfOneName) {
  Graph graph;
  graph.append({NodeKind::kPlaceholder, "x", "x", {}, {}});
  Node* y = graph.append({NodeKind::kPlaceholder, "y", "y", {}, {}});
  y->name = "x";
  graph.append({NodeKind::kOutput, "", "", {y}, {}});
  EXPECT_EQ(fault(graph), "layers.0: two nodes are named x");
}

TEST(Verify, FindsValuesReadBeforeTheyAreComputed) {
  Graph graph;
  Node* x = graph.append({NodeKind::kPlaceholder, "x", "x", {}, {}});
  Node* abs = graph.append({NodeKind::kCallOp, "", "aten::abs", {x}, {}});
  Node* first = graph.insert_after(x, {NodeKind::kCallOp, "early", "aten::abs", {}, {}});
  graph.append({NodeKind::kOutput, "", "", {abs}, {}});
  first->args = {Argument::List{abs}};
  EXPECT_EQ(fault(graph), "layers.0: node early reads a value that is not computed before it");
  first->args = {first};
  EXPECT_EQ(fault(graph), "layers.0: node early reads a value that is not computed before it");
}

TEST(Verify, FindsValuesOfOtherGraphs) {
  Graph graph, other;
  Node* foreign = other.append({NodeKind::kPlaceholder, "x", "x", {}, {}});
  graph.append({NodeKind::kPlaceholder, "x", "x", {}, {}});
  graph.append({NodeKind::kOutput, "", "", {}, {{"y", foreign}}});
  EXPECT_EQ(fault(graph), "layers.0: node output reads a value that is not computed before it");
}

TEST(Verify, DefaultsAreConstants) {
  Graph graph;
  Node* x = graph.append({NodeKind::kPlaceholder, "x", "x", {}, {}});
  Node* y = graph.append({NodeKind::kPlaceholder, "y", "y", {x}, {}});
  graph.append({NodeKind::kOutput, "", "", {y}, {}});
  EXPECT_EQ(fault(graph), "layers.0: node y has a default that is not a constant");
  y->args = {1, 2};
  EXPECT_EQ(fault(graph), "layers.0: node y has more than one default");
}

TEST(Verify, TreesAreVerifiedToTheLeaves) {
  const ModulePtr root = parse_module(
      "module Model { graph @1 { output(1) } child a: A { child b: B { graph @2 {\n"
      "%w = get_attr w output(%w) } } } }");
  try {
    verify_tree(*root);
    FAIL() << "nothing was found";
  } catch (const InternalError& error) {
    EXPECT_STREQ(error.what(), "a.b: node w reads w, which B does not have");
  }
}

TEST(Verify, TheRootIsNamedByItsType) {
  try {
    verify_tree(*parse_module("module Model { graph @1 { } }"));
    FAIL() << "nothing was found";
  } catch (const InternalError& error) {
    EXPECT_STREQ(error.what(), "Model: the graph has no output at its end");
  }
}

}  // namespace
}  // namespace lathe::ir
