#include "quantization/calib/max_calibration.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "lathe/error.h"
#include "ops/interpreter.h"
#include "testing.h"
#include "unit/ops/small_model.h"

namespace lathe::quantization {
namespace {

using Entries = std::vector<std::pair<std::string, QuantizerAttributes>>;
using AmaxByName = std::map<std::string, float>;

struct Calibrated {
  explicit Calibrated(const Entries& entries)
      : conversion(convert_all(*model, resolver_of(entries))), calibration(everything()) {}

  MaxCalibration everything() const {
    std::vector<size_t> groups(conversion.groups.size());
    std::vector<size_t> attentions(conversion.attentions.size());
    std::iota(groups.begin(), groups.end(), 0);
    std::iota(attentions.begin(), attentions.end(), 0);
    return MaxCalibration(conversion, groups, attentions);
  }

  void run(const std::vector<uint32_t>& batches, ops::LeafTable table = leaf_table()) {
    ops::Interpreter interpreter(std::move(table));
    calibration.begin();
    for (const uint32_t seed : batches) run_model(interpreter, *model, ops::small_batch(seed));
    calibration.finish({});
  }

  ir::ModulePtr model = ops::small_model();
  Conversion conversion;
  MaxCalibration calibration;
};

void remember(AmaxByName& seen, const std::string& name, const at::Tensor& x) {
  float& amax = seen[name];
  amax = std::max(amax, x.abs().max().item<float>());
}

/// max |x| of what each Linear of the unconverted model reads.
AmaxByName linear_inputs(const std::vector<uint32_t>& batches) {
  const ir::ModulePtr model = ops::small_model();
  std::map<const ir::Module*, std::string> paths;
  for (const auto& [path, module] : ir::named_modules(*model)) paths[module] = path;
  AmaxByName seen;
  ops::LeafTable table = ops::LeafTable::builtin();
  const ops::LeafFunction linear = *table.find("Linear");
  table.add("Linear", [&](const ir::Module& module, std::span<const c10::IValue> arguments) {
    remember(seen, paths.at(&module) + ".input_quantizer", arguments[0].toTensor());
    return linear(module, arguments);
  });
  ops::Interpreter interpreter(std::move(table));
  for (const uint32_t seed : batches) run_model(interpreter, *model, ops::small_batch(seed));
  return seen;
}

TEST(MaxCalibration, InputsHaveTheAmaxOfTheActivations) {
  Calibrated calibrated({{"*input_quantizer", attributes_of("fp8")}});
  EXPECT_TRUE(calibrated.calibration.needs_activations());
  calibrated.run({1, 2, 3});
  const AmaxByName expected = linear_inputs({1, 2, 3});
  ASSERT_EQ(expected.size(), 22u);
  for (const auto& [name, amax] : expected) {
    const TensorQuantizer& quantizer = quantizer_of(calibrated.model->at(name));
    EXPECT_EQ(quantizer.amax(), std::vector<float>{amax}) << name;
    EXPECT_EQ(quantizer.scales().values, std::vector<float>{amax / 448}) << name;
  }
  EXPECT_TRUE(unseen_quantizers(calibrated.conversion).empty());
}

TEST(MaxCalibration, TheOrderOfBatchesDoesNotMatter) {
  Calibrated first({{"*", attributes_of("fp8")}}), second({{"*", attributes_of("fp8")}});
  first.run({1, 2, 3, 4});
  second.run({4, 2, 1, 3});
  const auto left = first.conversion.quantizers(), right = second.conversion.quantizers();
  for (size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i]->amax(), right[i]->amax());
}

TEST(MaxCalibration, CalibratingAgainForgetsWhatWasSeen) {
  Calibrated twice({{"*", attributes_of("fp8")}}), once({{"*", attributes_of("fp8")}});
  twice.run({1, 2});
  twice.run({3});
  once.run({3});
  const auto left = twice.conversion.quantizers(), right = once.conversion.quantizers();
  for (size_t i = 0; i < left.size(); ++i) EXPECT_EQ(left[i]->amax(), right[i]->amax());
}

/// During calibration activations pass unchanged, so later layers see what the model computes.
TEST(MaxCalibration, KeysAndValuesAreObservedUnquantized) {
  Calibrated calibrated({{"*", attributes_of("fp8")},
                         {"*embed*", attributes_of("fp8")},
                         {"*[kv]_bmm_quantizer", attributes_of("nvfp4")}});
  AmaxByName seen;
  ops::LeafTable table = leaf_table();
  table.add("TensorQuantizer",
            [&](const ir::Module& module, std::span<const c10::IValue> arguments) {
              TensorQuantizer& quantizer = quantizer_of(module);
              remember(seen, quantizer.name(), arguments[0].toTensor());
              const at::Tensor y = quantizer.forward(arguments[0].toTensor());
              EXPECT_TRUE(y.is_same(arguments[0].toTensor()));
              return c10::IValue(y);
            });
  calibrated.run({1, 2}, std::move(table));
  for (const TensorQuantizer* quantizer : calibrated.conversion.quantizers()) {
    EXPECT_EQ(quantizer->amax(), std::vector<float>{seen.at(quantizer->name())})
        << quantizer->name();
  }
  for (const QuantizedAttention& attention : calibrated.conversion.attentions) {
    const float scale = attention.key->amax()[0] / 448;
    EXPECT_EQ(attention.key->scales().global_scale, scale / 6);
  }
}

TEST(MaxCalibration, AfterwardsQuantizersQuantize) {
  Calibrated calibrated({{"*", attributes_of("fp8")}});
  calibrated.run({1});
  ops::Interpreter plain;
  ops::Interpreter interpreter(leaf_table());
  const at::Tensor before = run_model(plain, *ops::small_model(), ops::small_batch(1)).at("logits");
  const at::Tensor after =
      run_model(interpreter, *calibrated.model, ops::small_batch(1)).at("logits");
  EXPECT_FALSE(after.equal(before));
  const float error = ((after - before).norm() / before.norm()).item<float>();
  EXPECT_LT(error, 0.3f);
}

TEST(MaxCalibration, WeightsNeedNoActivations) {
  Calibrated calibrated({{"*weight_quantizer", attributes_of("fp8")}});
  EXPECT_FALSE(calibrated.calibration.needs_activations());
  calibrated.run({});
  float largest = 0;
  for (const char* name : {"q_proj", "k_proj", "v_proj"}) {
    const QuantizedLayer& layer =
        *calibrated.conversion.find(std::string("model.layers.2.") + name);
    const float amax = layer.parameter()->tensor().abs().max().item<float>();
    EXPECT_EQ(layer.weight->amax(), std::vector<float>{amax});
    largest = std::max(largest, amax);
  }
  EXPECT_EQ(calibrated.conversion.find("model.layers.2.q_proj")->weight->scales().values,
            std::vector<float>{largest / 448});
}

TEST(MaxCalibration, DynamicFormatsNeedNeitherWeightsNorActivations) {
  Calibrated calibrated({{"*", attributes_of("mxfp8")}});
  EXPECT_FALSE(calibrated.calibration.needs_activations());
  for (const QuantizedLayer& layer : calibrated.conversion.layers) {
    layer.module->parameters.set(
        "weight", std::make_shared<ir::Parameter>(
                      layer.parameter()->dtype(), layer.parameter()->shape(),
                      []() -> at::Tensor { throw InternalError("the weight was read"); }));
  }
  calibrated.run({});
  EXPECT_TRUE(unseen_quantizers(calibrated.conversion).empty());
}

/// A weight that was not in memory is not left there.
TEST(MaxCalibration, WeightsAreReleased) {
  Calibrated calibrated({{"*lm_head.weight_quantizer", attributes_of("fp8")}});
  ir::Module& head = calibrated.model->at("lm_head");
  const auto lazy = std::make_shared<ir::Parameter>(at::kFloat, std::vector<int64_t>{11, 8}, [] {
    return at::full({11, 8}, 2.0f);
  });
  head.parameters.set("weight", lazy);
  calibrated.run({});
  EXPECT_FALSE(lazy->is_loaded());
  EXPECT_EQ(calibrated.conversion.find("lm_head")->weight->amax(), std::vector<float>{2});
}

TEST(MaxCalibration, NanInAWeightNamesIt) {
  Calibrated calibrated({{"*weight_quantizer", attributes_of("fp8")}});
  calibrated.model->find_parameter("model.layers.1.up.weight")->tensor()[0][0].fill_(std::nanf(""));
  try {
    calibrated.run({});
    FAIL() << "NaN went through";
  } catch (const DataError& error) {
    EXPECT_EQ(
        std::string(error.what()),
        "model.layers.1.up.weight: model.layers.1.up.weight_quantizer: 1 of 64 values are NaN "
        "or infinite");
  }
}

/// The first member that must see data gathers for its group.
TEST(MaxCalibration, TheLeaderIsAMemberThatObserves) {
  Calibrated calibrated({{"*input_quantizer", attributes_of("fp8")},
                         {"*q_proj.input_quantizer", attributes_of("mxfp8")}});
  calibrated.conversion.find("model.layers.1.k_proj")->input->set_enabled(false);
  calibrated.run({1});
  const AmaxByName expected = linear_inputs({1});
  for (const char* path :
       {"model.layers.0.k_proj", "model.layers.0.v_proj", "model.layers.1.v_proj"}) {
    EXPECT_EQ(calibrated.conversion.find(path)->input->amax(),
              std::vector<float>{expected.at(std::string(path) + ".input_quantizer")});
  }
  EXPECT_FALSE(calibrated.conversion.find("model.layers.1.k_proj")->input->has_amax());
}

TEST(MaxCalibration, QuantizersThatSawNothingAreNamed) {
  Calibrated calibrated({{"*up.input_quantizer", attributes_of("fp8")},
                         {"*gate.input_quantizer", attributes_of("mxfp8")}});
  calibrated.run({});
  EXPECT_EQ(unseen_quantizers(calibrated.conversion),
            (std::vector<std::string>{"model.layers.0.up.input_quantizer",
                                      "model.layers.1.up.input_quantizer",
                                      "model.layers.2.up.input_quantizer"}));
}

}  // namespace
}  // namespace lathe::quantization
