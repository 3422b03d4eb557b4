// Quantized checkpoints of the modelopt dialect: the exports of the reference, decoded, and broken
// ones.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "base/output_file.h"
#include "checkpoint_fixture.h"

namespace lathe::frontends {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kModule = "model.layers.1.self_attn.k_proj";

std::filesystem::path export_folder(const std::string& preset) {
  return reference_folder(fmt::format("modelopt/llama/{}/export", preset));
}

TestCheckpoint exported(const std::string& preset) {
  return TestCheckpoint::read(export_folder(preset));
}

struct Case {
  const char* preset;
  const char* quant_algo;
  formats::Format weight;
  std::optional<formats::Format> input;
  bool has_input_scale;
};

void PrintTo(const Case& item, std::ostream* stream) { *stream << item.preset; }

constexpr formats::Format kInt4By128{formats::kInt4, {1, 128}};

class Exported : public testing::TestWithParam<Case> {};

TEST_P(Exported, WeightIsDecoded) {
  const OpenedModel opened = open_model(export_folder(GetParam().preset), {.dtype = at::kFloat});
  const at::Tensor weight =
      opened.model.root->find_parameter(std::string(kModule) + ".weight")->tensor();
  const at::Tensor expected =
      read_tensors(golden_folder("modelopt.safetensors")).at(GetParam().preset);
  // The golden data has every fourth row.
  EXPECT_TRUE(at::equal(weight.slice(0, 0, weight.size(0), 4), expected));
}

TEST_P(Exported, SourceIsDescribed) {
  const OpenedModel opened = open_model(export_folder(GetParam().preset));
  ASSERT_TRUE(opened.quantization.has_value());
  const QuantizedSource& source = *opened.quantization;
  EXPECT_EQ(source.method, "modelopt");
  EXPECT_EQ(source.producer, "modelopt 0.47.0");
  EXPECT_EQ(source.quant_algo, GetParam().quant_algo);
  EXPECT_EQ(source.exclude_modules, (std::vector<std::string>{"lm_head", "model.embed_tokens"}));
  EXPECT_EQ(source.linears.size(), 14u);
  EXPECT_TRUE(source.caches.empty());
  const QuantizedLinear* linear = source.find(kModule);
  ASSERT_NE(linear, nullptr);
  EXPECT_EQ(linear->weight_format, GetParam().weight);
  EXPECT_EQ(linear->input_format, GetParam().input);
  EXPECT_EQ(linear->input_scale.has_value(), GetParam().has_input_scale);
  EXPECT_EQ(linear->tensors.front(), std::string(kModule) + ".weight");
  EXPECT_EQ(source.find("lm_head"), nullptr);
  EXPECT_FALSE(opened.model.config.contains("quantization_config"));
}

TEST_P(Exported, EveryTensorIsAccountedFor) {
  const OpenedModel opened = open_model(export_folder(GetParam().preset));
  for (const ir::SourceTensor& tensor : opened.model.tensors) {
    EXPECT_NE(tensor.path.empty(), tensor.dropped.empty()) << tensor.name;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Presets, Exported,
    testing::Values(Case{"FP8_DEFAULT_CFG", "FP8", formats::kFp8, formats::kFp8, true},
                    Case{"FP8_PER_CHANNEL_PER_TOKEN_CFG", "FP8_PER_CHANNEL_PER_TOKEN",
                         formats::kFp8PerChannel, formats::kFp8PerChannel, false},
                    Case{"INT8_SMOOTHQUANT_CFG", "W8A8_SQ_PER_CHANNEL", formats::kInt8PerChannel,
                         formats::kInt8PerTensor, true},
                    Case{"INT8_WEIGHT_ONLY_CFG", "W8A16", formats::kInt8PerChannel, std::nullopt,
                         false},
                    Case{"INT4_AWQ_CFG", "W4A16_AWQ", kInt4By128, std::nullopt, false},
                    Case{"NVFP4_DEFAULT_CFG", "NVFP4", formats::kNvfp4, formats::kNvfp4, true},
                    Case{"W4A16_NVFP4_CFG", "W4A16_NVFP4", formats::kNvfp4, std::nullopt, false},
                    Case{"MXFP8_DEFAULT_CFG", "MXFP8", formats::kMxfp8, formats::kMxfp8, false},
                    Case{"MXFP4_DEFAULT_CFG", "mxfp4", formats::kMxfp4, formats::kMxfp4, false}));

/// Presets that do not scale the columns of weights: the decoded weights are those of the base
/// model but for the rounding of the format.
class NearBase : public testing::TestWithParam<std::pair<const char*, double>> {};

TEST_P(NearBase, DecodedWeightsAreThoseOfTheBase) {
  const auto [preset, tolerance] = GetParam();
  const OpenedModel base =
      open_model(reference_folder("modelopt/llama/base"), {.dtype = at::kFloat});
  const OpenedModel opened = open_model(export_folder(preset), {.dtype = at::kFloat});
  for (const QuantizedLinear& linear : opened.quantization->linears) {
    const std::string path = linear.path + ".weight";
    EXPECT_LT(max_error(opened.model.root->find_parameter(path)->tensor(),
                        base.model.root->find_parameter(path)->tensor()),
              tolerance)
        << path;
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, NearBase,
                         testing::Values(std::pair{"FP8_DEFAULT_CFG", 0.04},
                                         std::pair{"INT8_WEIGHT_ONLY_CFG", 0.005},
                                         std::pair{"INT4_BLOCKWISE_WEIGHT_ONLY_CFG", 0.08},
                                         std::pair{"NVFP4_DEFAULT_CFG", 0.2},
                                         std::pair{"MXFP8_DEFAULT_CFG", 0.0625}));

/// Weight-only presets have no activations to quantize: the decoded model gives the peer's logits.
class WeightOnly : public testing::TestWithParam<const char*> {};

TEST_P(WeightOnly, LogitsAreThoseOfThePeer) {
  const std::string folder = std::string("modelopt/llama/") + GetParam();
  const auto inputs = read_tensors(reference_folder("modelopt/llama/eval.safetensors"));
  const at::Tensor theirs =
      read_tensors(reference_folder(folder) / "fake_quant_logits.safetensors").at("logits");
  const OpenedModel opened = open_model(reference_folder(folder) / "export");
  const at::Tensor found = logits_of(opened.model, {{"input_ids", inputs.at("input_ids")}});
  const at::Tensor base = inputs.at("logits").to(at::kFloat);
  // The rest is bfloat16 on another machine: far below what quantization did.
  EXPECT_LT(mean_error(found, theirs.to(at::kFloat)),
            0.5 * mean_error(base, theirs.to(at::kFloat)));
}

INSTANTIATE_TEST_SUITE_P(Presets, WeightOnly,
                         testing::Values("INT4_BLOCKWISE_WEIGHT_ONLY_CFG", "W4A16_NVFP4_CFG"));

TEST(Quantized, PreQuantScaleIsHandedOut) {
  const OpenedModel opened = open_model(export_folder("INT8_SMOOTHQUANT_CFG"));
  const QuantizedLinear* linear = opened.quantization->find("model.layers.0.mlp.down_proj");
  ASSERT_NE(linear, nullptr);
  ASSERT_NE(linear->pre_quant_scale, nullptr);
  EXPECT_EQ(linear->pre_quant_scale->shape(), std::vector<int64_t>{256});
  const OpenedModel plain = open_model(export_folder("INT8_DEFAULT_CFG"));
  EXPECT_EQ(plain.quantization->find(kModule)->pre_quant_scale, nullptr);
}

TEST(Quantized, InputScaleIsTheStoredNumber) {
  const TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG");
  const OpenedModel opened = open_model(export_folder("FP8_DEFAULT_CFG"));
  float expected = 0;
  for (const auto& tensor : checkpoint.tensors) {
    if (tensor.name == std::string(kModule) + ".input_scale") {
      std::memcpy(&expected, tensor.bytes.data(), sizeof(expected));
    }
  }
  EXPECT_GT(expected, 0.0f);
  EXPECT_EQ(opened.quantization->find(kModule)->input_scale, expected);
}

TEST(Quantized, CacheScalesAreHandedOut) {
  const OpenedModel opened = open_model(export_folder("FP8_DEFAULT_CFG+FP8_KV_CFG"));
  const QuantizedSource& source = *opened.quantization;
  EXPECT_EQ(source.kv_cache_quant_algo, "FP8");
  ASSERT_EQ(source.caches.size(), 2u);
  EXPECT_EQ(source.caches[0].path, "model.layers.0.self_attn");
  EXPECT_TRUE(source.caches[0].k_scale.has_value());
  EXPECT_TRUE(source.caches[0].v_scale.has_value());
  EXPECT_EQ(
      open_model(export_folder("NVFP4_DEFAULT_CFG+NVFP4_KV_CFG")).quantization->kv_cache_quant_algo,
      "NVFP4");
}

TEST(Quantized, ConfigJsonAloneIsEnough) {
  for (const char* preset : {"FP8_DEFAULT_CFG+FP8_KV_CFG", "NVFP4_DEFAULT_CFG", "INT4_AWQ_CFG"}) {
    SCOPED_TRACE(preset);
    TestCheckpoint checkpoint = exported(preset);
    checkpoint.quant_config = nullptr;
    const TemporaryFolder folder;
    const OpenedModel opened = open_checkpoint(checkpoint, folder);
    const OpenedModel both = open_model(export_folder(preset));
    ASSERT_TRUE(opened.quantization.has_value());
    EXPECT_EQ(opened.quantization->kv_cache_quant_algo, both.quantization->kv_cache_quant_algo);
    EXPECT_EQ(opened.quantization->exclude_modules, both.quantization->exclude_modules);
    EXPECT_EQ(opened.quantization->find(kModule)->weight_format,
              both.quantization->find(kModule)->weight_format);
  }
}

TEST(Quantized, GroupSizeIsDerivedFromTheShapesIfNobodySaysIt) {
  TestCheckpoint checkpoint = exported("INT4_AWQ_CFG");
  checkpoint.quant_config = nullptr;
  for (auto& tensor : checkpoint.tensors) {
    if (tensor.name.ends_with(".weight_scale")) {
      checkpoint.reshape(tensor.name, {tensor.shape[0], tensor.shape[1] * 4});
    }
  }
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_EQ(opened.quantization->find(kModule)->weight_format.block, (formats::BlockShape{1, 32}));
}

std::string data_error(const TestCheckpoint& checkpoint) {
  return open_error(ErrorKind::kData, checkpoint);
}

TEST(Quantized, WrongScalesAreListedAtOnce) {
  TestCheckpoint checkpoint = exported("NVFP4_DEFAULT_CFG");
  checkpoint.reshape("model.layers.0.self_attn.q_proj.weight_scale", {128, 4});
  checkpoint.erase("model.layers.0.self_attn.k_proj.weight_scale_2");
  checkpoint.erase("model.layers.0.self_attn.v_proj.input_scale");
  checkpoint.at("model.layers.0.self_attn.o_proj.weight_scale").dtype = DType::kU8;
  checkpoint.add("model.layers.0.mlp.up_proj.pre_quant_scale", DType::kBF16, {128});
  checkpoint.reshape("model.layers.0.mlp.gate_proj.input_scale", {2});
  const std::string message = data_error(checkpoint);
  expect_contains(message, "hf_quant_config.json: the tensors do not fit quant_algo \"NVFP4\":");
  expect_contains(
      message,
      "q_proj.weight_scale is [128, 4], expected [128, 8] for a weight of [128, 128] in "
      "blocks of 16");
  expect_contains(message, "k_proj.weight_scale_2 is missing, which NVFP4 needs");
  expect_contains(message, "v_proj.input_scale is missing, which NVFP4 needs");
  expect_contains(message, "o_proj.weight_scale has dtype U8, expected F8_E4M3 for NVFP4");
  expect_contains(message, "up_proj.pre_quant_scale is not a tensor of NVFP4");
  expect_contains(message, "gate_proj.input_scale is F32 [2], expected one floating-point number");
}

TEST(Quantized, WeightOfAnotherDtypeIsNamed) {
  TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG");
  checkpoint.at(std::string(kModule) + ".weight").dtype = DType::kI8;
  expect_contains(data_error(checkpoint), "has dtype I8, expected F8_E4M3 for FP8");
}

TEST(Quantized, WeightThatDoesNotFitTheConfigIsNamed) {
  TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG");
  checkpoint.reshape(std::string(kModule) + ".weight", {64, 64});
  expect_contains(data_error(checkpoint), "k_proj.weight is [64, 64], expected [64, 128]");
}

TEST(Quantized, BadNumbersAreNamed) {
  const std::string name = std::string(kModule) + ".input_scale";
  for (const float value : {0.0f, -1.0f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
    TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG");
    std::memcpy(checkpoint.at(name).bytes.data(), &value, sizeof(value));
    expect_contains(data_error(checkpoint), name + " is ");
  }
}

TEST(Quantized, StraysAreNamed) {
  TestCheckpoint checkpoint = exported("W4A16_NVFP4_CFG");
  checkpoint.add("model.layers.7.mlp.up_proj.input_scale", DType::kF32, {});
  expect_contains(data_error(checkpoint),
                  "model.layers.7.mlp.up_proj.input_scale belongs to no quantized weight");
  checkpoint = exported("INT8_WEIGHT_ONLY_CFG");
  checkpoint.erase(std::string(kModule) + ".weight_scale");
  expect_contains(data_error(checkpoint), "k_proj.weight is packed, but");
}

TEST(Quantized, ExcludedModulesHaveNoScale) {
  TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG");
  checkpoint.quant_config["quantization"]["exclude_modules"].push_back("model.layers.1*");
  expect_contains(data_error(checkpoint),
                  std::string(kModule) + " is in exclude_modules, but has a weight_scale");
}

TEST(Quantized, CacheScalesWithoutCacheAlgorithmAreNamed) {
  TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG+FP8_KV_CFG");
  checkpoint.quant_config["quantization"]["kv_cache_quant_algo"] = nullptr;
  expect_contains(data_error(checkpoint), "there is no kv_cache_quant_algo");
}

TEST(Quantized, UnknownAlgorithmsAreNamed) {
  TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG");
  checkpoint.quant_config["quantization"]["quant_algo"] = "W3A3";
  checkpoint.config["quantization_config"]["quant_algo"] = "W3A3";
  expect_contains(open_error(ErrorKind::kUser, checkpoint),
                  "\"quant_algo\" is \"W3A3\", which is not supported (supported: FP8, ");
  checkpoint.config["quantization_config"]["quant_algo"] = "FP8";
  expect_contains(data_error(checkpoint), "\"quant_algo\" is \"W3A3\", but");
  checkpoint = exported("FP8_DEFAULT_CFG");
  checkpoint.quant_config["quantization"]["kv_cache_quant_algo"] = "INT8";
  expect_contains(open_error(ErrorKind::kUser, checkpoint), "\"kv_cache_quant_algo\" is \"INT8\"");
  checkpoint.quant_config = Json{{"producer", Json::object()}};
  expect_contains(data_error(checkpoint), "\"quantization\" must be an object, found nothing");
}

TEST(Quantized, GraphlessModelsAreDecodedToo) {
  TestCheckpoint checkpoint = exported("FP8_DEFAULT_CFG");
  checkpoint.config["architectures"] = {"OtherForCausalLM"};
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_FALSE(opened.model.has_graph());
  EXPECT_EQ(opened.model.root->at(kModule).type, "Linear");
  EXPECT_EQ(opened.model.root->find_parameter(std::string(kModule) + ".weight")->dtype(),
            at::kBFloat16);
  EXPECT_EQ(opened.quantization->linears.size(), 14u);
}

}  // namespace
}  // namespace lathe::frontends
