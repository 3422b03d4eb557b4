#include "lathe/quantize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>

#include "unit/api/tiny_llama.h"

namespace lathe {
namespace {

constexpr const char* kFp8 = R"({
  "quant_cfg": {"*weight_quantizer": {"num_bits": 8, "format": "fp8"},
                "*input_quantizer": {"num_bits": 8, "format": "fp8"},
                "default": {"enable": false}},
  "algorithm": "max"
})";

Tensor logits_of(Model& model) {
  return model({{"input_ids", ids_of(tiny_tokens(model, 2))}}).at("logits");
}

bool same(const Tensor& a, const Tensor& b) {
  return a.bytes() == b.bytes() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

/// A forward loop over the first `samples` blocks, which counts its calls.
ForwardLoop loop_over(int64_t samples, int& calls) {
  return [samples, &calls](Model& model) {
    ++calls;
    model({{"input_ids", ids_of(tiny_tokens(model, samples))}});
  };
}

std::vector<std::string> enabled(const Model& model) {
  std::vector<std::string> names;
  for (const QuantizerInfo& quantizer : quantizers(model)) {
    if (quantizer.enabled) names.push_back(quantizer.name);
  }
  return names;
}

QuantizerInfo find(const Model& model, const std::string& name) {
  for (const QuantizerInfo& quantizer : quantizers(model)) {
    if (quantizer.name == name) return quantizer;
  }
  ADD_FAILURE() << name;
  return {};
}

class Quantize : public testing::Test {
 protected:
  void quantize_fp8(int64_t samples) {
    quantize(model_, QuantizeConfig::from_text(kFp8), loop_over(samples, calls_));
  }

  Model model_ = tiny_llama();
  int calls_ = 0;
};

/// 7 linear layers in each of 2 blocks; the head that shares the embedding's weight stays.
TEST_F(Quantize, PutsTheQuantizersOfTheConfigIn) {
  quantize_fp8(2);
  EXPECT_EQ(calls_, 1);
  EXPECT_EQ(enabled(model_).size(), 2u * 7 * 2);
  const QuantizerInfo weight = find(model_, "model.layers.1.mlp.down_proj.weight_quantizer");
  EXPECT_EQ(weight.description, "fp8 per-tensor");
  ASSERT_EQ(weight.amax.size(), 1u);
  EXPECT_GT(weight.amax[0], 0);
  std::ostringstream summary;
  print_quant_summary(model_, summary);
  EXPECT_NE(summary.str().find("model.layers.0.self_attn.q_proj.input_quantizer"),
            std::string::npos);
}

TEST_F(Quantize, QuantizersGoOffAndOnByWildcard) {
  const Tensor original = logits_of(model_);
  quantize_fp8(2);
  const Tensor quantized = logits_of(model_);
  EXPECT_FALSE(same(original, quantized));
  EXPECT_EQ(disable_quantizers(model_, "*layers.1.*_proj.input_quantizer"), 7);
  EXPECT_EQ(enabled(model_).size(), 2u * 7 * 2 - 7);
  EXPECT_EQ(disable_quantizers(model_, "*no_such_layer*"), 0);
  disable_quantizers(model_, "*");
  EXPECT_TRUE(same(logits_of(model_), original));
  EXPECT_EQ(enable_quantizers(model_, "*_proj.input_quantizer"), 14);
  EXPECT_EQ(enable_quantizers(model_, "*_proj.weight_quantizer"), 14);
  EXPECT_TRUE(same(logits_of(model_), quantized));
}

TEST_F(Quantize, CalibratesAnew) {
  const auto amax = [this] {
    std::map<std::string, float> values;
    for (const std::string& name : enabled(model_)) values[name] = find(model_, name).amax.at(0);
    return values;
  };
  quantize_fp8(1);
  const auto first = amax();
  calibrate(model_, "max", loop_over(16, calls_));
  EXPECT_EQ(calls_, 2);
  const auto all = amax();
  EXPECT_NE(all, first);
  for (const auto& [name, value] : first) EXPECT_GE(all.at(name), value) << name;
  calibrate(model_, "max", loop_over(1, calls_));
  EXPECT_EQ(amax(), first);
  EXPECT_THROW(calibrate(model_, "maximum", loop_over(1, calls_)), UserError);
}

TEST_F(Quantize, TakesAmaxFromElsewhere) {
  const std::string name = "model.layers.0.mlp.up_proj.input_quantizer";
  quantize_fp8(1);
  load_amax(model_, {{name, Tensor::of<float>({3}, {})}});
  EXPECT_EQ(find(model_, name).amax, std::vector<float>{3});
  EXPECT_THROW(load_amax(model_, {{"no.such.quantizer", Tensor::of<float>({3}, {})}}), UserError);
  EXPECT_THROW(load_amax(model_, {{name, Tensor::of<float>({1, 2}, {2})}}), UserError);
}

TEST_F(Quantize, ActivationsNeedAForwardLoop) {
  EXPECT_THROW(quantize(model_, QuantizeConfig::from_preset("fp8")), UserError);
  quantize(model_, QuantizeConfig::from_preset("int8_wo"));  // the failure has left no trace
  EXPECT_EQ(enabled(model_).size(), 14u);
}

/// Without data there is no scale to write down.
TEST_F(Quantize, WhatSawNoDataIsNotExported) {
  quantize(model_, QuantizeConfig::from_preset("fp8"), [](Model&) {});
  const std::string folder = testing::TempDir() + "/lathe-no-data";
  EXPECT_THROW(export_checkpoint(model_, folder), UserError);
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST_F(Quantize, AFailedLoopLeavesTheModelAsItWas) {
  const Tensor original = logits_of(model_);
  const auto failing = [](Model&) { throw std::runtime_error("no more data"); };
  EXPECT_THROW(quantize(model_, QuantizeConfig::from_preset("fp8"), failing), std::runtime_error);
  EXPECT_TRUE(same(logits_of(model_), original));
  quantize_fp8(1);
  EXPECT_EQ(enabled(model_).size(), 28u);
}

TEST_F(Quantize, UnknownNamesAreErrors) {
  EXPECT_THROW(QuantizeConfig::from_preset("fp9"), UserError);
  EXPECT_THROW(QuantizeConfig::from_preset("fp8").add_kv_cache("int3"), UserError);
  EXPECT_THROW(QuantizeConfig::from_text("quant_cfg: [{quantizer_nam: '*'}]"), UserError);
}

}  // namespace
}  // namespace lathe
