#include "trace/dependency_rules.h"

#include <gtest/gtest.h>

#include "lathe/error.h"
#include "trace/analyze.h"
#include "unit/trace/nets.h"

namespace lathe::trace {
namespace {

std::string symbols(const ir::ModulePtr& model) {
  return symbols_text(analyze_as_modelopt(*model, SymRegistry::builtin(), true).symbols);
}

std::string convs(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += conv("c" + std::to_string(i), 8, 8);
  return text;
}

/// Nodes that begin with c0..c<count-1>, each of x.
std::string calls(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += fmt::format("%v{} = call_module c{}(%x)\n", i, i);
  return text;
}

struct Case {
  const char* name;
  std::string nodes;
  std::string children;
  std::string expected;
};

class DependencyRules : public testing::TestWithParam<Case> {};

TEST_P(DependencyRules, LinkSymbols) {
  EXPECT_EQ(symbols(net(GetParam().nodes, GetParam().children)), GetParam().expected);
}

std::vector<Case> cases() {
  return {
      {"Chain",
       "%a = call_module c0(%x) %b = call_module c1(%a) %c = call_module c2(%b) output(%c)",
       convs(3), "c0.out_channels: c1.in_channels\nc1.out_channels: c2.in_channels\n"},
      {"OutputIsFixed", "%a = call_module c0(%x) %b = call_op aten::relu(%a) output(%b)", convs(1),
       ""},
      {"Residual",
       calls(2) + "%s = call_op aten::add.Tensor(%v0, %v1) %b = call_module c2(%s) output(%b)",
       convs(3), "c0.out_channels: c1.out_channels c2.in_channels\n"},
      {"ResidualWithTheInput",
       calls(1) + "%s = call_op aten::add.Tensor(%v0, %x) %b = call_module c1(%s) output(%b)",
       convs(2), ""},
      {"TheFirstLeads",
       calls(3) + "%s = call_op aten::add.Tensor(%v2, %v1) %t = call_op aten::mul.Tensor(%s, %v0)\n"
                  "%b = call_module c3(%t) output(%b)",
       convs(4), "c0.out_channels: c1.out_channels c2.out_channels c3.in_channels\n"},
      {"SumsAreBoundaries",
       calls(2) + "%s = call_op aten::sum.dim_IntList(%v0, [1], True)\n"
                  "%t = call_op aten::add.Tensor(%s, %v1) %b = call_module c2(%t) output(%b)",
       convs(3), ""},
      {"InPlaceAndOut",
       calls(3) +
           "%s = call_op aten::add_.Tensor(%v0, %v1) %t = call_op aten::add.out(%s, %v0, out=%v2)\n"
           "%b = call_module c3(%t) %c = call_op aten::add.Tensor(%b, %b) %d = call_module c4(%c)\n"
           "output(%d)",
       convs(5),
       "c0.out_channels: c1.out_channels c3.in_channels\nc2.out_channels\n"
       "c3.out_channels: c4.in_channels\n"},
      {"SharedModule",
       "%a = call_module c0(%x) %b = call_module c1(%a) %c = call_module c1(%b)\n"
       "%d = call_module c2(%c) output(%d)",
       convs(3), "c0.out_channels: c1.in_channels c1.out_channels c2.in_channels\n"},
      {"NormsFollow",
       "%a = call_module c0(%x) %b = call_module bn(%a) %c = call_module relu(%b)\n"
       "%d = call_module c1(%c) output(%d)",
       convs(2) + leaf("bn", "BatchNorm2d", 8) + leaf("relu", "ReLU"),
       "c0.out_channels: bn.num_features c1.in_channels\n"},
      {"GroupNormCannotBeSorted",
       "%a = call_module c0(%x) %b = call_module gn(%a) %c = call_module c1(%b) output(%c)",
       convs(2) + leaf("gn", "GroupNorm", 8), "c0.out_channels!: c1.in_channels gn.num_channels\n"},
      {"DimensionsMustFit",
       "%a = call_module l(%x) %b = call_module bn(%a) %c = call_module m(%b) output(%c)",
       linear("l", 8, 8) + linear("m", 8, 8) + leaf("bn", "BatchNorm1d", 8), ""},
      {"PoolsKeepChannels",
       "%a = call_module c0(%x) %b = call_op aten::avg_pool2d(%a, [2, 2]) %c = call_module c1(%b)\n"
       "output(%c)",
       convs(2), "c0.out_channels: c1.in_channels\n"},
      {"PoolsTouchFeatures",
       "%a = call_module l(%x) %b = call_op aten::avg_pool2d(%a, [2, 2]) %c = call_module m(%b)\n"
       "output(%c)",
       linear("l", 8, 8) + linear("m", 8, 4), ""},
      {"MeanElsewhere",
       "%a = call_module c0(%x) %b = call_op aten::mean.dim(%a, [2, 3], True)\n"
       "%c = call_module c1(%b) output(%c)",
       convs(2), "c0.out_channels: c1.in_channels\n"},
      {"MeanOverChannels",
       "%a = call_module c0(%x) %b = call_op aten::mean.dim(%a, [1], True)\n"
       "%c = call_module c1(%b) output(%c)",
       convs(2), ""},
      {"MeanOverAll",
       "%a = call_module c0(%x) %b = call_op aten::mean(%a) %c = call_module c1(%b) output(%c)",
       convs(2), ""},
      {"GroupedConv",
       "%a = call_module c0(%x) %b = call_module g(%a) %c = call_module c1(%b) output(%c)",
       convs(2) + conv("g", 8, 8, 4),
       "c0.out_channels!: c1.in_channels g.in_channels g.out_channels\n"},
      {"DepthwiseConv",
       "%a = call_module c0(%x) %b = call_module g(%a) %c = call_module c1(%b) output(%c)",
       convs(2) + conv("g", 8, 8, 8),
       "c0.out_channels: c1.in_channels g.in_channels g.out_channels\n"},
      {"GroupedConvThatWidens",
       "%a = call_module c0(%x) %b = call_module g(%a) %c = call_module c1(%b) output(%c)",
       conv("c0", 8, 8) + conv("c1", 8, 16) + conv("g", 16, 8, 4), ""},
      {"Concatenation",
       calls(2) + "%s = call_op aten::cat([%v0, %v1, %v0], 1) %b = call_module k(%s) output(%b)",
       convs(2) + conv("k", 8, 24), "k.in_channels: c0.out_channels c1.out_channels\n"},
      {"ConcatenationOfBatches",
       calls(2) + "%s = call_op aten::cat([%v0, %v1]) %b = call_module c2(%s) output(%b)", convs(3),
       ""},
      {"ConcatenationWithTheInput",
       calls(1) + "%s = call_op aten::cat([%v0, %x], 1) %b = call_module k(%s) output(%b)",
       convs(1) + conv("k", 8, 16), ""},
      {"OneTensorInTwoConcatenations",
       calls(3) + "%s = call_op aten::cat([%v0, %v1], 1) %t = call_op aten::cat([%v1, %v2], 1)\n"
                  "%b = call_module k(%s) %c = call_module m(%t)\n"
                  "%d = call_op aten::add.Tensor(%b, %c) output(%d)",
       convs(3) + conv("k", 8, 16) + conv("m", 8, 16),
       "k.in_channels: c0.out_channels\nm.in_channels: c2.out_channels\n"},
      {"NestedConcatenation",
       calls(3) + "%s = call_op aten::cat([%v0, %v1], 1) %t = call_op aten::cat([%v2, %s], 1)\n"
                  "%b = call_module k(%t) output(%b)",
       convs(3) + conv("k", 8, 24), "k.in_channels: c2.out_channels\n"},
      {"SameConcatenationTwice",
       calls(2) + "%s = call_op aten::cat([%v0, %v1], 1) %t = call_op aten::cat([%v0, %v1], 1)\n"
                  "%b = call_module k(%s) %c = call_module m(%t)\n"
                  "%d = call_op aten::add.Tensor(%b, %c) output(%d)",
       convs(2) + conv("k", 8, 16) + conv("m", 8, 16),
       "k.in_channels: c0.out_channels c1.out_channels m.in_channels\n"},
      {"SumOfConcatenations",
       calls(4) + "%s = call_op aten::cat([%v0, %v1], 1) %t = call_op aten::cat([%v2, %v3], 1)\n"
                  "%u = call_op aten::add.Tensor(%s, %t) %b = call_module k(%u) output(%b)",
       convs(4) + conv("k", 8, 16), ""},
      {"ConcatenationAndConv",
       calls(2) + "%w = call_module m(%x) %s = call_op aten::cat([%v0, %v1], 1)\n"
                  "%u = call_op aten::add.Tensor(%w, %s) %b = call_module k(%u) output(%b)",
       convs(2) + conv("k", 8, 16) + conv("m", 16, 8),
       "k.in_channels: c0.out_channels c1.out_channels m.out_channels\n"},
      {"PartOfAConcatenationInASum",
       calls(3) + "%s = call_op aten::cat([%v1, %v2], 1) %t = call_op aten::add.Tensor(%v0, %v1)\n"
                  "%b = call_module k(%s) %c = call_module m(%t)\n"
                  "%d = call_op aten::add.Tensor(%b, %c) output(%d)",
       convs(3) + conv("k", 8, 16) + conv("m", 8, 8),
       "k.in_channels: c0.out_channels c1.out_channels c2.out_channels m.in_channels\n"},
  };
}

INSTANTIATE_TEST_SUITE_P(Nets, DependencyRules, testing::ValuesIn(cases()),
                         [](const auto& info) { return std::string(info.param.name); });

const char* const kBlockNodes =
    "%l = call_module lin(%x) %n = call_module norm(%l) %r = call_op aten::relu(%n)\n"
    "%s = call_op aten::add.Tensor(%x, %r) output(%s)";

std::string block(const std::string& name, bool residual = true) {
  const std::string nodes = residual ? kBlockNodes : "%l = call_module lin(%x) output(%l)";
  return composite("child " + name + ": Block", nodes,
                   linear("lin", 4, 4) + leaf("norm", "LayerNorm", 4));
}

std::string blocks(const std::string& heading, const std::vector<bool>& residual) {
  std::string children;
  for (size_t i = 0; i < residual.size(); ++i) children += block(std::to_string(i), residual[i]);
  return sequential(heading, static_cast<int>(residual.size()), children);
}

/// The skippable blocks of "model" between two linears.
std::string depth(const std::string& model, const std::string& middle = "") {
  const std::string text = symbols(net("%a = call_module first(%x) %b = call_module model(%a)\n" +
                                           middle + "%c = call_module last(%b) output(%c)",
                                       linear("first", 4, 4) + linear("last", 4, 4) + model));
  const size_t start = text.find("model.depth");
  return start == text.npos ? "" : text.substr(start, text.find('\n', start) - start);
}

TEST(Depth, ResidualBlocksCanBeSkipped) {
  EXPECT_EQ(depth(blocks("child model: Sequential", {true, true, true})), "model.depth [0, 1, 2]");
  EXPECT_EQ(depth(blocks("child model: Sequential", {true, false, true})), "model.depth [0, 2]");
  EXPECT_EQ(depth(blocks("child model: Sequential", {false, false})), "");
}

/// A type of its own that does what a Sequential does has its rule.
TEST(Depth, AChainOfAnotherNameIsASequential) {
  EXPECT_EQ(depth(blocks("child model: Tower", {true, true})), "model.depth [0, 1]");
}

TEST(Depth, BlocksThatOthersReachIntoStay) {
  EXPECT_EQ(depth(blocks("child model: Sequential", {true, true, true}),
                  "%w = get_attr model.1.lin.weight\n"),
            "model.depth [0, 2]");
}

/// The value of block 0 is a feature: it leaves the Sequential beside the last.
TEST(Depth, FeaturesStay) {
  const std::string pyramid = composite(
      "child model: Sequential",
      "%a = call_module 0(%x) %b = call_module 1(%a) %c = call_module 2(%b) output([%a, %c])",
      block("0") + block("1") + block("2"));
  const std::string text =
      symbols(net("%a = call_module first(%x) %b = call_module model(%a)\n"
                  "%c = call_op builtin::getitem(%b, 0) %d = call_op builtin::getitem(%b, 1)\n"
                  "%e = call_op aten::add.Tensor(%c, %d) %f = call_module last(%e) output(%f)",
                  linear("first", 4, 4) + linear("last", 4, 4) + pyramid));
  EXPECT_NE(text.find("model.depth [1]\n"), text.npos) << text;
}

TEST(Failures, ChildrenOfWhatIsNotUnderstoodAreTraced) {
  const std::string inner = composite(
      "child inner: Inner",
      "%a = call_module c0(%x) %b = call_module c1(%a)\n"
      "%d = call_module more(%b) output(%b)",
      convs(2) + sequential("child more: Sequential", 2, conv("0", 8, 8) + conv("1", 8, 8)));
  const ir::ModulePtr model =
      net("%a = call_module c0(%x) %b = call_module inner(%a) %c = call_module c1(%b) output(%c)",
          convs(2) + inner);
  const Analysis analysis = analyze_as_modelopt(*model, SymRegistry::builtin(), true);
  EXPECT_EQ(symbols_text(analysis.symbols),
            "inner.more.0.out_channels: inner.more.1.in_channels\n");
  ASSERT_EQ(analysis.warnings.size(), 1u);
  EXPECT_NE(analysis.warnings[0].find("inner is not understood"), std::string::npos);
}

TEST(Failures, ModulesThatNothingCallsAreFixed) {
  const ir::ModulePtr model =
      net("%a = call_module c0(%x) %b = call_module c1(%a) output(%b)", convs(3));
  const Analysis analysis = analyze_as_modelopt(*model, SymRegistry::builtin(), true);
  EXPECT_EQ(symbols_text(analysis.symbols), "c0.out_channels: c1.in_channels\n");
  EXPECT_TRUE(analysis.symbols.get_symbol("c2", "out_channels").is_constant());
  EXPECT_TRUE(analysis.symbols.get_symbol("c2", "kernel_size").is_searchable());
  ASSERT_EQ(analysis.warnings.size(), 1u);
}

TEST(Registration, UsersTypesHaveSymbols) {
  SymRegistry registry = SymRegistry::builtin();
  registry.add("Scale", [](const ModuleView& module) {
    EXPECT_EQ(module.shape("weight"), std::vector<int64_t>{8});
    SymInfo info;
    info.is_shape_preserving = true;
    return info.add("size", {.flow = Flow::kIncoming, .elastic_dims = {1, -3}});
  });
  const ir::ModulePtr model =
      net("%a = call_module c0(%x) %b = call_module s(%a) %c = call_module c1(%b) output(%c)",
          convs(2) + leaf("s", "Scale", 8));
  EXPECT_EQ(symbols(model), "");
  EXPECT_EQ(symbols_text(analyze_as_modelopt(*model, registry, true).symbols),
            "c0.out_channels: c1.in_channels s.size\n");
}

}  // namespace
}  // namespace lathe::trace
