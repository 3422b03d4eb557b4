#include "quantization/conversion.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "ir/verify.h"
#include "lathe/error.h"
#include "ops/interpreter.h"
#include "testing.h"
#include "unit/ops/small_model.h"
#include "unit/ops/tensors.h"

namespace lathe::quantization {
namespace {

QuantizerResolver all_off() { return resolver_of({}); }

std::vector<std::string> names(const Conversion& conversion, const std::vector<size_t>& group) {
  std::vector<std::string> paths;
  for (const size_t index : group) paths.push_back(conversion.layers[index].path);
  return paths;
}

TEST(Conversion, LeavesBecomeComposites) {
  const ir::ModulePtr model = ops::small_model();
  const Conversion conversion = convert_all(*model, all_off());
  ir::verify_tree(*model);
  ASSERT_EQ(conversion.layers.size(), 1u + 3 * 7 + 1);
  EXPECT_EQ(conversion.layers[0].path, "model.embed_tokens");
  EXPECT_EQ(conversion.layers[1].path, "model.layers.0.q_proj");
  EXPECT_EQ(conversion.layers.back().path, "lm_head");
  const QuantizedLayer& q = *conversion.find("model.layers.1.q_proj");
  EXPECT_EQ(q.module, &model->at("model.layers.1.q_proj"));
  EXPECT_EQ(q.module->type, "QuantLinear");
  EXPECT_EQ(q.input, &quantizer_of(model->at("model.layers.1.q_proj.input_quantizer")));
  EXPECT_EQ(q.weight->name(), "model.layers.1.q_proj.weight_quantizer");
  EXPECT_EQ(q.output->name(), "model.layers.1.q_proj.output_quantizer");
  EXPECT_EQ(q.parameter(), model->find_parameter("model.layers.1.q_proj.weight"));
  const QuantizedLayer& embedding = conversion.layers[0];
  EXPECT_EQ(embedding.module->type, "QuantEmbedding");
  EXPECT_EQ(embedding.input, nullptr);
  EXPECT_EQ(model->at("model.norm").type, "RMSNorm");
  EXPECT_EQ(conversion.find("model.layers.1.norm1"), nullptr);
  EXPECT_EQ(conversion.quantizers().size(), 22u * 3 + 2 + 3 * 3);
}

TEST(Conversion, SharedGraphsStayShared) {
  const ir::ModulePtr model = ops::small_model();
  const ir::GraphPtr before = model->at("model.layers.0").graph;
  const std::string text = ir::print(*before);
  convert_all(*model, all_off());
  const ir::GraphPtr after = model->at("model.layers.0").graph;
  EXPECT_NE(after, before);
  EXPECT_EQ(ir::print(*before), text) << "the original is not written to";
  EXPECT_EQ(after, model->at("model.layers.1").graph);
  EXPECT_EQ(after, model->at("model.layers.2").graph);
  EXPECT_EQ(model->at("model.layers.0.q_proj").graph, model->at("lm_head").graph);
}

TEST(Conversion, AttentionsGetQuantizers) {
  const ir::ModulePtr model = ops::small_model();
  const Conversion conversion = convert_all(*model, all_off());
  ASSERT_EQ(conversion.attentions.size(), 3u);
  const QuantizedAttention& attention = conversion.attentions[1];
  EXPECT_EQ(attention.path, "model.layers.1");
  EXPECT_EQ(attention.key_producer, "model.layers.1.k_proj");
  EXPECT_EQ(attention.value_producer, "model.layers.1.v_proj");
  EXPECT_EQ(attention.query->name(), "model.layers.1.q_bmm_quantizer");
  EXPECT_EQ(attention.key, &quantizer_of(model->at("model.layers.1.k_bmm_quantizer")));
  EXPECT_EQ(attention.value->name(), "model.layers.1.v_bmm_quantizer");
}

TEST(Conversion, GroupsReadOneValue) {
  const ir::ModulePtr model = ops::small_model();
  const Conversion conversion = convert_all(*model, all_off());
  std::vector<bool> seen(conversion.layers.size());
  for (const auto& group : conversion.groups) {
    for (const size_t index : group) {
      EXPECT_FALSE(seen[index]);
      seen[index] = true;
    }
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), false), 0);
  const std::vector<std::vector<size_t>>& groups = conversion.groups;
  EXPECT_EQ(names(conversion, groups[0]),
            (std::vector<std::string>{"model.layers.0.q_proj", "model.layers.0.k_proj",
                                      "model.layers.0.v_proj"}));
  EXPECT_EQ(names(conversion, groups[1]), std::vector<std::string>{"model.layers.0.o_proj"});
  EXPECT_EQ(names(conversion, groups[2]),
            (std::vector<std::string>{"model.layers.0.gate", "model.layers.0.up"}));
  EXPECT_EQ(names(conversion, groups.back()), std::vector<std::string>{"model.embed_tokens"});
}

/// What the small model gives with the quantizers that `wanted` has on observing and the others
/// off.
ops::NamedTensors observed(const QuantizerResolver& wanted, bool all_on) {
  const ir::ModulePtr model = ops::small_model();
  const Conversion conversion = convert_all(*model, wanted);
  for (TensorQuantizer* quantizer : conversion.quantizers()) {
    EXPECT_EQ(quantizer->enabled(), all_on);
    quantizer->set_mode(TensorQuantizer::Mode::kObserve);
  }
  ops::Interpreter interpreter(leaf_table());
  return run_model(interpreter, *model, ops::small_batch(1));
}

/// The model with its quantizers off, or observing, computes what it computed before.
TEST(Conversion, QuantizersThatAreOffChangeNothing) {
  ops::Interpreter plain;
  const ops::NamedTensors expected = run_model(plain, *ops::small_model(), ops::small_batch(1));
  const auto layers_on = [](std::string_view name) {
    return std::pair<std::string, QuantizerAttributes>(name, attributes_of("fp8"));
  };
  for (const ops::NamedTensors& outputs :
       {observed(all_off(), false),
        observed(resolver_of({layers_on("*put_quantizer"), layers_on("*weight_quantizer"),
                              layers_on("*[qkv]_bmm_quantizer"), layers_on("*embed*")}),
                 true)}) {
    EXPECT_TRUE(outputs.at("logits").equal(expected.at("logits")));
    EXPECT_TRUE(outputs.at("early").equal(expected.at("early")));
  }
}

/// Probabilities that are quantized exist: attention is taken apart, and rounds in other places.
TEST(Conversion, ObservedProbabilitiesChangeTheOrderOfSumsAlone) {
  ops::Interpreter plain;
  const ops::NamedTensors expected = run_model(plain, *ops::small_model(), ops::small_batch(1));
  const ops::NamedTensors outputs =
      observed(resolver_of({{"*", attributes_of("fp8")}, {"*embed*", attributes_of("fp8")}}), true);
  const double range = expected.at("logits").abs().max().item<double>();
  const double error = (outputs.at("logits") - expected.at("logits")).abs().max().item<double>();
  EXPECT_LT(error, 1e-5 * range);
}

TEST(Conversion, EnabledQuantizersRound) {
  const at::Tensor weight = random_tensor({6, 32}, at::kBFloat16, 1);
  const at::Tensor bias = random_tensor({6}, at::kBFloat16, 2);
  const at::Tensor x = random_tensor({4, 32}, at::kBFloat16, 3);
  const ir::ModulePtr root = ir::parse_module(
      "module A { graph @1 { %x = placeholder \"x\" %y = call_module fc(%x) output(%y) }\n"
      "child fc: Linear { parameter weight: bf16[6, 32] &1 parameter bias: bf16[6] &2 } }");
  root->find_parameter("fc.weight")->set(weight);
  root->find_parameter("fc.bias")->set(bias);
  const Conversion conversion =
      convert_all(*root, resolver_of({{"*weight_quantizer", attributes_of("mxfp4")},
                                      {"*input_quantizer", attributes_of("fp8")},
                                      {"*output_quantizer", attributes_of("int8")}}));
  ops::Interpreter interpreter(leaf_table());
  const at::Tensor y = interpreter.call("", *root, {x}).toTensor();
  const auto rounded = [](const char* format, const at::Tensor& tensor) {
    return make_quantizer(attributes_of(format)).forward(tensor);
  };
  EXPECT_TRUE(
      y.equal(rounded("int8", at::linear(rounded("fp8", x), rounded("mxfp4", weight), bias))));
}

TEST(Conversion, EmbeddingsRoundTheirWeight) {
  const ir::ModulePtr root = ir::parse_module(
      "module A { graph @1 { %x = placeholder \"x\" %y = call_module e(%x) output(%y) }\n"
      "child e: Embedding { parameter weight: f32[8, 32] &1 } }");
  const at::Tensor weight = random_tensor({8, 32}, at::kFloat, 1);
  root->find_parameter("e.weight")->set(weight);
  convert_all(*root, resolver_of({{"e.weight_quantizer", attributes_of("mxfp8")}}));
  ops::Interpreter interpreter(leaf_table());
  const at::Tensor ids = at::arange(8, at::kLong);
  EXPECT_TRUE(interpreter.call("", *root, {ids})
                  .toTensor()
                  .equal(make_quantizer(attributes_of("mxfp8")).forward(weight)));
}

TEST(Conversion, EmbeddingsTiedHeadsAndRoutersStayUnlessTheyAreMeant) {
  const auto enabled = [](const char* pattern) {
    const ir::ModulePtr root = ir::parse_module(
        "module A { graph @1 { %x = placeholder \"x\" %y = call_module e(%x) "
        "%z = call_module head(%y) %u = call_module free(%y) %s = call_module gate(%y) "
        "%r = call_module router(%s) output(%z, %u, %r) }\n"
        "child e: Embedding { parameter weight: f32[8, 32] &1 }\n"
        "child head: Linear { parameter weight: f32[8, 32] &1 }\n"
        "child free: Linear { parameter weight: f32[8, 32] &2 }\n"
        "child gate: Linear { parameter weight: f32[8, 32] &3 }\n"
        "child router: TopKRouter { } }");
    const Conversion conversion =
        convert_all(*root, resolver_of({{pattern, attributes_of("fp8")}}));
    std::string on;
    for (const QuantizedLayer& layer : conversion.layers) {
      if (layer.weight->enabled()) on += layer.path + " ";
    }
    return on;
  };
  EXPECT_EQ(enabled("*"), "free ");
  EXPECT_EQ(enabled("*weight_quantizer"), "free ");
  EXPECT_EQ(enabled("head*"), "head ");
  EXPECT_EQ(enabled("e.*"), "e ");
  EXPECT_EQ(enabled("gate.*"), "gate ");
}

std::vector<std::string> problems_of(
    const std::vector<std::pair<std::string, QuantizerAttributes>>& entries) {
  const ir::ModulePtr model = ops::small_model();
  std::vector<std::string> problems;
  const Conversion conversion = convert(*model, resolver_of(entries), {}, problems);
  for (const TensorQuantizer* quantizer : conversion.quantizers())
    EXPECT_FALSE(quantizer->enabled());
  return problems;
}

TEST(Conversion, UnsupportedQuantizersAreProblemsAndOff) {
  const std::vector<std::string> problems =
      problems_of({{"*layers.?.q_proj.weight_quantizer",
                    {.num_bits = NumBits::integer(8), .calibrator = Calibrator::kHistogram}}});
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(
      problems[0],
      "model.layers.0.q_proj.weight_quantizer: the histogram calibrator is not supported; use "
      "max");
}

TEST(Conversion, StaticBlocksOfActivationsAreProblems) {
  const std::vector<std::string> problems =
      problems_of({{"*layers.0.up.input_quantizer", attributes_of("int4")},
                   {"*layers.0.up.output_quantizer", attributes_of("int8_per_channel")}});
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0],
            "model.layers.0.up.input_quantizer: activations have one static scale a tensor, or "
            "dynamic ones, not int4 block 128");
}

TEST(Conversion, ModelsWithoutAGraphAreGroupedByName) {
  const ir::ModulePtr root = ir::parse_module(
      "module Model { child a: Linear { parameter weight: f32[2, 4] &1 }\n"
      "child b: Linear { parameter weight: f32[2, 4] &2 } child c: Norm {}\n"
      "child d: Linear { parameter weight: f32[2, 4] &3 } child e: Linear {} }");
  std::vector<std::string> problems;
  const Conversion conversion =
      convert(*root, all_off(), {{"a", "d", "missing", "c"}, {"d"}}, problems);
  ASSERT_EQ(conversion.groups.size(), 2u);
  EXPECT_EQ(names(conversion, conversion.groups[0]), (std::vector<std::string>{"a", "d"}));
  EXPECT_EQ(names(conversion, conversion.groups[1]), std::vector<std::string>{"b"});
  EXPECT_EQ(root->at("e").type, "Linear") << "it has no weight";
}

TEST(Conversion, AModuleAtTwoPathsIsOneLayerInItsGroup) {
  const ir::ModulePtr root = ir::parse_module(
      "module Model { graph @1 { %x = placeholder \"x\" %a = call_module twin.fc(%x)\n"
      "%b = call_module other(%x) output([%a, %b]) }\n"
      "child first: ModuleList { child fc: Linear { parameter weight: f32[2, 4] &1 } }\n"
      "child twin: ModuleList {} child other: Linear { parameter weight: f32[2, 4] &2 } }");
  root->at("twin").children.set("fc", *root->at("first").children.find("fc"));
  std::vector<std::string> problems;
  const Conversion conversion = convert(*root, all_off(), {}, problems);
  ASSERT_EQ(conversion.groups.size(), 1u);
  EXPECT_EQ(names(conversion, conversion.groups[0]),
            (std::vector<std::string>{"first.fc", "other"}));
}

}  // namespace
}  // namespace lathe::quantization
