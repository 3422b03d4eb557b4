#include "ir/graph.h"

#include <gtest/gtest.h>

#include "ir/text.h"
#include "lathe/error.h"

namespace lathe::ir {
namespace {

/// x, relu = relu(x), add = x + relu, output(add).
struct Chain {
  Graph graph;
  Node* x = graph.append({NodeKind::kPlaceholder, "x", "x", {}, {}});
  Node* relu = graph.append({NodeKind::kCallOp, "", "aten::relu", {x}, {}});
  Node* add = graph.append({NodeKind::kCallOp, "", "aten::add.Tensor", {x, relu}, {}});
  Node* output = graph.append({NodeKind::kOutput, "", "", {add}, {}});
};

TEST(Graph, NamesComeFromTargets) {
  GraphBuilder builder;
  Node* x = builder.placeholder("input");
  EXPECT_EQ(builder.call_op("aten::add.Tensor", {x, x})->name, "add");
  EXPECT_EQ(builder.call_op("aten::add.Tensor", {x, x})->name, "add_1");
  EXPECT_EQ(builder.call_op("aten::add.Tensor", {x, x})->name, "add_2");
  EXPECT_EQ(builder.call_op("aten::relu", {x}, {}, "mine")->name, "mine");
  EXPECT_EQ(builder.call_module("self_attn.q_proj", {x})->name, "self_attn_q_proj");
  EXPECT_EQ(builder.get_attr("mlp.weight")->name, "mlp_weight");
  EXPECT_EQ(builder.placeholder("images/input \"0\"")->name, "images_input__0_");
  builder.output(x);
  EXPECT_EQ(builder.build()->output()->name, "output");
}

TEST(Graph, BuilderIsEmptyAfterwards) {
  GraphBuilder builder;
  builder.output(builder.placeholder("x"));
  EXPECT_EQ(builder.build()->nodes().size(), 2u);
  EXPECT_EQ(builder.build()->nodes().size(), 0u);
}

TEST(Graph, FindsNodes) {
  Chain c;
  EXPECT_EQ(c.graph.find("relu"), c.relu);
  EXPECT_EQ(c.graph.find("gelu"), nullptr);
  EXPECT_EQ(c.graph.placeholders(), std::vector<const Node*>{c.x});
  EXPECT_EQ(c.graph.output(), c.output);
  EXPECT_EQ(Graph().output(), nullptr);
}

TEST(Graph, UsersInOrderAndOnce) {
  Chain c;
  EXPECT_EQ(c.graph.users(c.x), (std::vector<Node*>{c.relu, c.add}));
  Node* cat = c.graph.insert_before(
      c.output,
      {NodeKind::kCallOp, "", "aten::cat", {Argument::List{c.relu, c.relu, Argument()}}, {}});
  EXPECT_EQ(c.graph.users(c.relu), (std::vector<Node*>{c.add, cat}));
}

TEST(Graph, InsertsBeforeAndAfter) {
  Chain c;
  Node* before = c.graph.insert_before(c.add, {NodeKind::kCallOp, "", "aten::abs", {c.x}, {}});
  Node* after = c.graph.insert_after(c.x, {NodeKind::kCallOp, "", "aten::abs", {c.x}, {}});
  EXPECT_EQ(before->name, "abs");
  EXPECT_EQ(after->name, "abs_1");
  EXPECT_EQ(print(c.graph),
            "%x = placeholder \"x\"\n"
            "%abs_1 = call_op aten::abs(%x)\n"
            "%relu = call_op aten::relu(%x)\n"
            "%abs = call_op aten::abs(%x)\n"
            "%add = call_op aten::add.Tensor(%x, %relu)\n"
            "output(%add)\n");
}

TEST(Graph, InsertNeedsANodeOfTheGraph) {
  Chain c, other;
  EXPECT_THROW(c.graph.insert_before(other.add, {NodeKind::kCallOp, "", "aten::abs", {}, {}}),
               InternalError);
}

TEST(Graph, ErasesNodesThatNobodyReads) {
  Chain c;
  EXPECT_THROW(c.graph.erase(c.relu), InternalError);
  c.graph.replace_uses(c.relu, c.x);
  c.graph.erase(c.relu);
  EXPECT_EQ(c.graph.find("relu"), nullptr);
  EXPECT_EQ(c.add->args, (std::vector<Argument>{c.x, c.x}));
  EXPECT_THROW(c.graph.erase(Chain().x), InternalError);
}

TEST(Graph, ReplacesUsesInListsAndNames) {
  Chain c;
  Node* cat = c.graph.insert_after(c.relu, {NodeKind::kCallOp,
                                            "",
                                            "aten::cat",
                                            {Argument::List{c.x, Argument::List{c.x, 1}}},
                                            {{"out", c.x}}});
  c.graph.replace_uses(c.x, c.relu, c.add);
  EXPECT_EQ(cat->args[0], Argument(Argument::List{c.relu, Argument::List{c.relu, 1}}));
  EXPECT_EQ(cat->kwargs[0].second, Argument(c.relu));
  EXPECT_EQ(c.add->args[0], Argument(c.x)) << "the exception was not made";
  EXPECT_EQ(c.relu->args[0], Argument(c.relu));
}

TEST(Graph, ClonesAreEqualAndApart) {
  Chain c;
  c.graph.insert_before(c.output, {NodeKind::kCallOp,
                                   "",
                                   "aten::cat",
                                   {Argument::List{c.x, Argument::List{c.relu}}},
                                   {{"dim", 1}, {"out", c.add}}});
  const std::string before = print(c.graph);
  Graph copy = c.graph.clone();
  EXPECT_EQ(print(copy), before);
  for (const auto& node : copy.nodes()) {
    node->for_each_input([&](const Node* input) { EXPECT_EQ(copy.find(input->name), input); });
  }
  copy.append({NodeKind::kPlaceholder, "y", "y", {}, {}});
  EXPECT_EQ(print(c.graph), before);
}

}  // namespace
}  // namespace lathe::ir
