#include "ir/text.h"

#include <gtest/gtest.h>

#include "lathe/error.h"
#include "random_module.h"

namespace lathe::ir {
namespace {

constexpr std::string_view kModel = R"(module Model {
  attribute hidden_size = 8
  attribute eps = 1e-05
  attribute name = "a \"tiny\" model"
  attribute tied = True
  attribute sizes = [8, 16]
  parameter head: bf16[32, 8] &1
  graph @1 {
    %ids = placeholder "input_ids"
    %mask = placeholder "attention_mask" default None
    %embed = call_module embed(%ids)
    %layers_0 = call_module layers.0(%embed, %mask)
    %head = get_attr head
    %linear = call_op aten::linear(%layers_0, %head, None)
    %sum = call_op aten::sum.dim_IntList(%linear, [-1], True, dtype=@f32)
    output(logits=%linear, sum=%sum)
  }
  child embed: Embedding {
    parameter weight: bf16[32, 8] &1
  }
  child layers: ModuleList {
    child 0: Layer block {
      buffer inv_freq: f32[4] &2
      graph @2 {
        %x = placeholder "x"
        %mask = placeholder "mask"
        %mul = call_op aten::mul.Scalar(%x, 2.0)
        output(%mul)
      }
    }
    child 1: Layer block {
      buffer inv_freq: f32[4] &2
      graph @2
    }
  }
}
)";

TEST(Text, ReadsBackAsItIsWritten) { EXPECT_EQ(print(*parse_module(kModel)), kModel); }

TEST(Text, KeepsWhatItSays) {
  const ModulePtr model = parse_module(kModel);
  EXPECT_EQ(model->int_attribute("hidden_size"), 8);
  EXPECT_EQ(model->float_attribute("eps"), 1e-5);
  EXPECT_EQ(std::get<std::string>(*model->attributes.find("name")), "a \"tiny\" model");
  EXPECT_TRUE(std::get<bool>(*model->attributes.find("tied")));
  EXPECT_EQ(std::get<std::vector<int64_t>>(*model->attributes.find("sizes")),
            (std::vector<int64_t>{8, 16}));
  EXPECT_FALSE(model->is_block);
  EXPECT_TRUE(model->at("layers.0").is_block);
  EXPECT_EQ(model->find_parameter("head")->dtype(), at::kBFloat16);
  EXPECT_EQ(model->find_parameter("head")->shape(), (std::vector<int64_t>{32, 8}));
  const Node& sum = *model->graph->find("sum");
  EXPECT_EQ(sum.target, "aten::sum.dim_IntList");
  EXPECT_EQ(sum.args[1], Argument(Argument::List{-1}));
  EXPECT_EQ(sum.args[2], Argument(true));
  EXPECT_EQ(sum.kwargs[0].second, Argument(at::kFloat));
  EXPECT_TRUE(model->graph->find("mask")->args[0].is_none());
  EXPECT_EQ(model->at("layers.0").graph->find("mul")->args[1], Argument(2.0));
}

TEST(Text, SharedGraphsStayShared) {
  const ModulePtr model = parse_module(kModel);
  EXPECT_EQ(model->at("layers.0").graph, model->at("layers.1").graph);
  EXPECT_NE(model->graph, model->at("layers.0").graph);
}

TEST(Text, TiedParametersStayTied) {
  const ModulePtr model = parse_module(kModel);
  EXPECT_EQ(model->find_parameter("head"), model->find_parameter("embed.weight"));
  EXPECT_EQ(model->find_parameter("layers.0.inv_freq"), model->find_parameter("layers.1.inv_freq"));
}

TEST(Text, EqualGraphsThatAreTwoStayTwo) {
  const ModulePtr root = make_module("Pair");
  for (const char* name : {"a", "b"}) {
    GraphBuilder builder;
    builder.output(builder.placeholder("x"));
    root->add_child(name, make_module("Identity")).graph = builder.build();
  }
  const ModulePtr copy = parse_module(print(*root));
  EXPECT_NE(copy->at("a").graph, copy->at("b").graph);
}

TEST(Text, GraphsAlone) {
  constexpr std::string_view text =
      "%x = placeholder \"x\"\n%relu = call_op aten::relu(%x)\noutput(%relu)\n";
  EXPECT_EQ(print(*parse_graph(text)), text);
}

TEST(Text, SpaceAndCommentsDoNotMatter) {
  const ModulePtr model = parse_module(
      "module A{attribute x=1 # one\n graph @5{%y=placeholder\"y\" output( %y )}\t\n child "
      "b:B{}}# end");
  EXPECT_EQ(model->int_attribute("x"), 1);
  EXPECT_EQ(model->graph->nodes().size(), 2u);
  EXPECT_EQ(model->at("b").type, "B");
}

TEST(Text, StateIsAComment) {
  struct State : ModuleState {
    std::string describe() const override { return "fp8 per-tensor"; }
  };
  Module module("TensorQuantizer");
  module.state = std::make_shared<State>();
  EXPECT_EQ(print(module), "module TensorQuantizer {\n  # fp8 per-tensor\n}\n");
  EXPECT_EQ(parse_module(print(module))->state, nullptr);
}

TEST(Text, NumbersKeepTheirTypeAndValue) {
  for (const char* number :
       {"0", "-1", "9223372036854775807", "-9223372036854775808", "0.0", "-0.0", "1.0", "1e-05",
        "1e+300", "0.1", "5e-324", "inf", "-inf", "nan", "0.3333333333333333"}) {
    const std::string text = fmt::format("module A {{\n  attribute x = {}\n}}\n", number);
    EXPECT_EQ(print(*parse_module(text)), text);
  }
}

TEST(Text, RandomModulesReadBack) {
  for (uint32_t seed = 0; seed < 500; ++seed) {
    const ModulePtr original = random_module(seed);
    const std::string text = print(*original);
    const ModulePtr copy = parse_module(text);
    ASSERT_EQ(print(*copy), text) << "seed " << seed;
    ASSERT_EQ(named_modules(*copy).size(), named_modules(*original).size());
  }
}

TEST(Text, DescribesParameters) {
  EXPECT_EQ(describe(Parameter(at::kBFloat16, {576, 1536}, nullptr)), "bf16[576, 1536]");
  EXPECT_EQ(describe(Parameter(at::kLong, {}, nullptr)), "i64[]");
}

}  // namespace
}  // namespace lathe::ir
