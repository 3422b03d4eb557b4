#include "trace/opportunities.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "trace/shared_inputs.h"
#include "unit/trace/nets.h"

namespace lathe::trace {
namespace {

std::string fusions(const ir::ModulePtr& model) {
  std::vector<SharingGroup> sharing;
  for (const SharedInput& shared : shared_inputs(*model, has_product)) {
    const ir::Module* producer = shared.producer.empty() ? nullptr : model->find(shared.producer);
    sharing.push_back(
        {shared.producer, producer ? producer->type : "", shared.alone, shared.readers});
  }
  const FlatGraph graph = FlatGraph::of("", *model, has_product);
  std::string text;
  for (const Opportunity& found : find_fusions(graph, sharing))
    text += fmt::format("{}: {}\n", found.kind, fmt::join(found.modules, " "));
  return text;
}

TEST(Fusions, OfConvolutions) {
  EXPECT_EQ(fusions(net("%a = call_module c(%x) %b = call_module bn(%a) %r = call_module relu(%b)\n"
                        "%d = call_module e(%r) %f = call_op aten::relu(%d) output(%f)",
                        conv("c", 8, 3) + conv("e", 8, 8) + leaf("bn", "BatchNorm2d", 8) +
                            leaf("relu", "ReLU"))),
            "conv-bn: c bn\nbn-relu: bn relu\nconv-relu: e\n");
}

TEST(Fusions, NeedAValueThatNobodyElseReads) {
  EXPECT_EQ(fusions(net("%a = call_module c(%x) %b = call_module bn(%a)\n"
                        "%s = call_op aten::add.Tensor(%a, %b) output(%s)",
                        conv("c", 8, 3) + leaf("bn", "BatchNorm2d", 8))),
            "");
}

TEST(Fusions, OfGatedMlps) {
  const std::string mlp =
      "%n = call_module norm(%x) %g = call_module gate(%n) %a = call_op aten::silu(%g)\n"
      "%u = call_module up(%n) %m = call_op aten::mul.Tensor(%a, %u) %d = call_module down(%m)\n";
  const std::string children =
      leaf("norm", "RMSNorm", 6) + linear("gate", 8, 6) + linear("up", 8, 6) + linear("down", 6, 8);
  EXPECT_EQ(fusions(net(mlp + "output(%d)", children)),
            "norm-linear: norm gate up\ngate-up: gate up\n");
  // The residual reads the norm's value as well: no scale can go into the norm.
  EXPECT_EQ(fusions(net(mlp + "%s = call_op aten::add.Tensor(%n, %d) output(%s)", children)),
            "gate-up: gate up\n");
}

TEST(Fusions, OfAttention) {
  EXPECT_EQ(
      fusions(net("%q = call_module q(%x) %k = call_module k(%x) %v = call_module v(%x)\n"
                  "%t = call_op aten::transpose.int(%q, 1, 2)\n"
                  "%a = call_op aten::scaled_dot_product_attention(%t, %k, %v)\n"
                  "%o = call_module o(%a) output(%o)",
                  linear("q", 8, 8) + linear("k", 8, 8) + linear("v", 8, 8) + linear("o", 8, 8))),
      "qkv: q k v\n");
  EXPECT_EQ(fusions(net("%a = call_module q(%x) %b = call_module k(%x) output([%a, %b])",
                        linear("q", 8, 8) + linear("k", 8, 8))),
            "parallel: q k\n");
}

TEST(Quantizable, SaysWhatStandsInTheWay) {
  const ir::ModulePtr model =
      net("%a = call_module l(%x) output(%a)",
          linear("l", 8, 256) + linear("odd", 8, 40) + leaf("norm", "LayerNorm", 8));
  const auto found = find_quantizable(
      *model, [&](const ir::Module& module) { return &module != model->find("odd"); });
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].modules, std::vector<std::string>{"l"});
  EXPECT_TRUE(found[0].obstacles.empty());
  EXPECT_EQ(found[1].modules, std::vector<std::string>{"odd"});
  EXPECT_EQ(found[1].obstacles,
            (std::vector<std::string>{"K = 40 is not divisible by blocks of 16 or more",
                                      "nothing calls it"}));
}

TEST(SharedInputsAlone, IsTrueIfOnlyTheGroupReadsTheValue) {
  const auto alone = [](const std::string& nodes) {
    const ir::ModulePtr model =
        net("%n = call_module norm(%x) " + nodes,
            leaf("norm", "RMSNorm", 8) + linear("a", 8, 8) + linear("b", 8, 8));
    return shared_inputs(*model, has_product).at(0).alone;
  };
  EXPECT_TRUE(alone("%a = call_module a(%n) %b = call_module b(%n) output([%a, %b])"));
  EXPECT_FALSE(alone("%a = call_module a(%n) output([%a, %n])"));
}

}  // namespace
}  // namespace lathe::trace
