#include <gtest/gtest.h>

#include "lathe/error.h"
#include "trace/unit_symbols.h"
#include "unit/trace/nets.h"

namespace lathe::trace {
namespace {

constexpr int kBlocks = 25'000;  // of four nodes each
constexpr int64_t kSize = 8;

ir::ModulePtr square_linear() {
  ir::ModulePtr module = ir::make_module("Linear");
  module->parameters.set("weight", std::make_shared<ir::Parameter>(
                                       at::kFloat, std::vector<int64_t>{kSize, kSize}, nullptr));
  return module;
}

/// x + relu(linear(x)) again and again, with one linear for all and one of its own in every 100.
ir::ModulePtr large_net(int& linears) {
  ir::ModulePtr model = ir::make_module("Large");
  ir::GraphBuilder graph;
  model->add_child("first", square_linear());
  model->add_child("shared", square_linear());
  model->add_child("last", square_linear());
  ir::Node* x = graph.call_module("first", {graph.placeholder("x")});
  for (int block = 0; block < kBlocks; ++block) {
    std::string name = "shared";
    if (block % 100 == 0) {
      name = "own" + std::to_string(block);
      model->add_child(name, square_linear());
      ++linears;
    }
    ir::Node* y = graph.call_op("aten::relu", {graph.call_module(name, {x})});
    x = graph.call_op("aten::neg", {graph.call_op("aten::add.Tensor", {x, y})});
  }
  graph.output(graph.call_module("last", {x}));
  model->graph = graph.build();
  return model;
}

/// Everything hangs together: one symbol, followed by both sides of all linears.
TEST(LargeNet, OfAHundredThousandNodes) {
  int linears = 0;
  const ir::ModulePtr model = large_net(linears);
  ASSERT_GT(model->graph->nodes().size(), 100'000u);
  const size_t links = static_cast<size_t>(2 * linears + 3);
  const auto peer = analyze_as_modelopt(*model, SymRegistry::builtin(), true).symbols.groups();
  ASSERT_EQ(peer.size(), 1u);
  EXPECT_EQ(peer[0].links.size(), links);
  const auto own =
      analyze_units(*model, rich_registry(), {{"x", ShapeRun::empty({2, kSize}, at::kFloat)}})
          .analysis.symbols.groups();
  ASSERT_EQ(own.size(), 1u);
  EXPECT_EQ(own[0].links.size(), links);
}

UnitAnalysis analyze(const ir::Module& model) {
  return analyze_units(model, rich_registry(), {{"x", ShapeRun::empty({2, kSize}, at::kFloat)}});
}

/// How many rows aten::nonzero gives only its data says: what it is part of is left as it is.
TEST(UnitFlow, ValuesOfUnknownShapeFixWhatTheyMeet) {
  const ir::ModulePtr model =
      net("%a = call_module l(%x) %n = call_op aten::nonzero(%a)\n"
          "%c = call_op aten::cat([%n, %n], 0) %d = call_op aten::neg(%c) output(%d)",
          linear("l", 8, 8));
  EXPECT_TRUE(analyze(*model).analysis.symbols.groups().empty());
}

TEST(UnitFlow, AnArgumentOfTheWrongKindIsNamed) {
  const ir::ModulePtr model =
      net("%a = call_op aten::view(%x, [%x, 2]) output(%a)", linear("l", 8, 8));
  try {
    analyze(*model);
    FAIL() << "no error";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("argument size must be a int[]"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace lathe::trace
