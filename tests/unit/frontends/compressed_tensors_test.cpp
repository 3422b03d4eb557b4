// Checkpoints that the compressed-tensors library wrote, compared with what it reads from them
// (tests/e2e/compressed_tensors/check.py --golden), and broken ones.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "checkpoint_fixture.h"
#include "frontends/huggingface/name_pattern.h"

namespace lathe::frontends {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kModule = "model.layers.0.self_attn.k_proj";
constexpr const char* kOther = "model.layers.0.mlp.down_proj";

std::filesystem::path folder_of(const std::string& name) {
  return reference_folder("compressed_tensors/" + name);
}

TestCheckpoint checkpoint_of(const std::string& name) {
  return TestCheckpoint::read(folder_of(name));
}

struct Case {
  const char* name;
  formats::Format weight;
  bool can_be_kept = true;
  std::optional<formats::Format> input = {};
};

void PrintTo(const Case& item, std::ostream* stream) { *stream << item.name; }

constexpr formats::Format kInt4Group{formats::kInt4, {1, 32}};
constexpr formats::Format kInt3Group{formats::int_element(3), {1, 32}};
constexpr formats::Format kFp8Blocks{formats::kE4M3, {32, 32}};
constexpr formats::Format kFp8Groups{formats::kE4M3, {1, 32}};

class CompressedTensors : public testing::TestWithParam<Case> {};

TEST_P(CompressedTensors, WeightsAreTheLibrarysBitForBit) {
  const OpenedModel opened = open_model(folder_of(GetParam().name));
  const auto expected = read_tensors(folder_of(GetParam().name) / "expected.safetensors");
  for (const std::string module : {kModule, kOther}) {
    const at::Tensor weight = opened.model.root->find_parameter(module + ".weight")->tensor();
    EXPECT_TRUE(at::equal(weight.to(at::kBFloat16), expected.at(module + ".weight"))) << module;
  }
}

TEST_P(CompressedTensors, SourceIsDescribed) {
  const OpenedModel opened = open_model(folder_of(GetParam().name));
  ASSERT_TRUE(opened.quantization.has_value());
  EXPECT_EQ(opened.quantization->method, "compressed-tensors");
  EXPECT_EQ(opened.quantization->linears.size(), 7u);
  const QuantizedLinear* linear = opened.quantization->find(kModule);
  ASSERT_NE(linear, nullptr);
  EXPECT_EQ(linear->weight_format, GetParam().weight);
  EXPECT_EQ(linear->input_format, GetParam().input);
  EXPECT_EQ(linear->scales != nullptr, GetParam().can_be_kept);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, CompressedTensors,
    testing::Values(
        Case{"pack-int4-group", kInt4Group}, Case{"pack-int4-asymmetric", kInt4Group, false},
        Case{"pack-int8-channel", formats::kInt8PerChannel},
        Case{"pack-int8-channel-asymmetric", formats::kInt8PerChannel, false},
        Case{"pack-int2-group", {formats::int_element(2), {1, 32}}},
        Case{"pack-int4-tensor-asymmetric", {formats::kInt4, formats::kPerTensor}, false},
        Case{"pack-int3-group", kInt3Group}, Case{"pack-int3-asymmetric", kInt3Group, false},
        Case{"pack-int4-fp8-token", kInt4Group, true, formats::kFp8PerChannel},
        Case{"int4-token", kInt4Group, true, formats::kInt8PerChannel},
        Case{"int8-token", formats::kInt8PerChannel, true, formats::kInt8PerChannel},
        Case{"int8-asymmetric", formats::kInt8PerChannel, false, formats::kInt8PerChannel},
        Case{"fp8-tensor", formats::kFp8, true, formats::kFp8},
        Case{"fp8-token", formats::kFp8PerChannel, true, formats::kFp8PerChannel},
        Case{"fp8-block", kFp8Blocks, true, kFp8Groups},
        Case{"fp8-weights", formats::kFp8PerChannel},
        Case{"nvfp4", formats::kNvfp4, true, formats::kNvfp4}, Case{"mxfp4", formats::kMxfp4},
        Case{"mxfp6", formats::kMxfp6E2M3}, Case{"mxfp8", formats::kMxfp8}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::erase(name, '-');
      return name;
    });

TEST(CompressedTensorsSource, ActivationOrderNamesTheGroupOfEachColumn) {
  TestCheckpoint checkpoint = checkpoint_of("pack-int4-group");
  const std::string name = std::string(kModule) + ".weight_g_idx";
  checkpoint.add(name, DType::kI32, {64});
  const auto weight_of = [&] {
    const TemporaryFolder folder;
    return open_checkpoint(checkpoint, folder)
        .model.root->find_parameter(std::string(kModule) + ".weight")
        ->tensor()
        .clone();
  };
  const at::Tensor first = weight_of();  // all columns of group 0
  for (size_t k = 32; k < 64; ++k) checkpoint.at(name).bytes[4 * k] = 1;
  const at::Tensor both = weight_of();  // as without g_idx
  checkpoint.erase(name);
  EXPECT_TRUE(at::equal(both, weight_of()));
  EXPECT_FALSE(at::equal(both, first));
  EXPECT_TRUE(at::equal(both.slice(1, 0, 32), first.slice(1, 0, 32)));
}

TEST(CompressedTensorsSource, TargetsAreNamesThenExpressionsThenTheClass) {
  TestCheckpoint checkpoint = checkpoint_of("fp8-weights");
  Json& groups = checkpoint.config["quantization_config"]["config_groups"];
  const Json weights = groups["group_0"]["weights"];
  Json per_tensor = groups["group_0"];
  per_tensor["weights"]["strategy"] = "tensor";  // does not fit the tensors: must not be taken
  groups["group_0"] = per_tensor;
  groups["group_1"] = per_tensor;
  groups["group_1"]["targets"] = {"re:model.*"};
  groups["group_2"] = per_tensor;
  groups["group_2"]["weights"] = weights;
  groups["group_2"]["targets"] = Json::array();
  for (const char* part : {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                           "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"})
    groups["group_2"]["targets"].push_back(std::string("model.layers.0.") + part);
  const TemporaryFolder folder;
  EXPECT_EQ(open_checkpoint(checkpoint, folder).quantization->linears.size(), 7u);
  groups["group_2"]["targets"] = {R"(re:model\.layers\.\d+\.)"};  // after "re:model.*"
  expect_contains(open_error(ErrorKind::kData, checkpoint), "weight_scale is [64, 1], expected");
}

TEST(CompressedTensorsSource, ScalesOfTheCacheLieOnTheAttention) {
  TestCheckpoint checkpoint = checkpoint_of("fp8-tensor");
  for (const char* name : {"k_scale", "v_scale"}) {
    const std::string tensor = std::string("model.layers.0.self_attn.") + name;
    checkpoint.add(tensor, DType::kF32, {1});
    checkpoint.at(tensor).bytes = std::string("\0\0\0\x3f", 4);
  }
  expect_contains(open_error(ErrorKind::kData, checkpoint), "there is no kv_cache_scheme");
  checkpoint.config["quantization_config"]["kv_cache_scheme"] = {
      {"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}, {"dynamic", false}};
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  EXPECT_EQ(opened.quantization->kv_cache_quant_algo, "FP8");
  ASSERT_EQ(opened.quantization->caches.size(), 1u);
  EXPECT_EQ(opened.quantization->caches[0].path, "model.layers.0.self_attn");
  EXPECT_EQ(opened.quantization->caches[0].k_scale, 0.5f);
}

struct BadOption {
  std::vector<const char*> keys;  // below quantization_config
  Json value;
  ErrorKind kind;
  const char* message;
};

TEST(CompressedTensorsErrors, OptionsAreChecked) {
  const std::vector<const char*> weights = {"config_groups", "group_0", "weights"};
  const auto of_weights = [&](const char* key) {
    std::vector<const char*> keys = weights;
    keys.push_back(key);
    return keys;
  };
  const BadOption options[] = {
      {{"format"}, "marlin-24", ErrorKind::kUser, "2:4 and other sparse formats are not read"},
      {{"sparsity_config"}, Json{{"format", "sparse-24-bitmask"}}, ErrorKind::kUser, "sparse"},
      {{"quantization_status"}, "frozen", ErrorKind::kUser, "supported: compressed weights"},
      {{"config_groups", "group_0", "format"}, "dense", ErrorKind::kUser, "\"dense\" is not"},
      {{"config_groups", "group_0", "output_activations"},
       Json{{"num_bits", 8}},
       ErrorKind::kUser,
       "quantized outputs"},
      {{"config_groups", "group_0", "targets"}, "Linear", ErrorKind::kData, "targets"},
      {{"config_groups", "group_0", "targets"}, Json{"re:("}, ErrorKind::kData, "re:("},
      {{"config_groups", "group_0", "targets"},
       Json{"lm_head"},
       ErrorKind::kData,
       "no target names it"},
      {{"ignore"}, Json{"re:.*k_proj"}, ErrorKind::kData, "is in \"ignore\", but has"},
      {{"kv_cache_scheme"}, Json{{"num_bits", 4}}, ErrorKind::kUser, "one scale a tensor"},
      {of_weights("num_bits"), 9, ErrorKind::kUser, "supported integers: 2 to 8 bits"},
      {of_weights("num_bits"), "4", ErrorKind::kData, "num_bits"},
      {of_weights("type"), "float", ErrorKind::kUser, "weights of type float"},
      {of_weights("strategy"), "attn_head", ErrorKind::kUser, "supported: tensor, channel"},
      {of_weights("group_size"), 0, ErrorKind::kData, "group_size"},
      {of_weights("group_size"), 48, ErrorKind::kData, "which groups of 48 do not divide"},
      {of_weights("group_size"), 64, ErrorKind::kData, "is [32, 2], expected [32, 1]"},
      {of_weights("dynamic"), true, ErrorKind::kUser, "weights have scales on file"}};
  for (const BadOption& option : options) {
    TestCheckpoint checkpoint = checkpoint_of("pack-int4-group");
    Json* place = &checkpoint.config["quantization_config"];
    for (const char* key : option.keys) place = &(*place)[key];
    *place = option.value;
    SCOPED_TRACE(fmt::format("{} {}", option.keys.back(), option.value.dump()));
    expect_contains(open_error(option.kind, checkpoint), option.message);
  }
}

TEST(CompressedTensorsErrors, TensorsAreChecked) {
  const BadTensor tensors[] = {
      {"pack-int4-group", "weight_packed", {}, "weight_packed is missing, which pack-quantized"},
      {"pack-int4-group",
       "weight_shape",
       {},
       "weight_shape is missing, which pack-quantized needs"},
      {"pack-int4-group", "weight_shape", {3}, "weight_shape is Long [3], expected two integers"},
      {"pack-int4-group", "weight_packed", {32, 9}, "weight_shape says [32, 64], which"},
      {"pack-int4-group", "weight_scale", {}, "weight_packed belongs to no quantized weight"},
      {"pack-int4-asymmetric", "weight_zero_point", {}, "weight_zero_point is missing"},
      {"pack-int4-asymmetric", "weight_zero_point", {32, 2}, "is [32, 2], expected [4, 2]"},
      {"int8-asymmetric", "weight_zero_point", {31, 1}, "is [31, 1], expected [32, 1]"},
      {"fp8-tensor", "input_scale", {}, "input_scale is missing, which float-quantized needs"},
      {"fp8-tensor", "input_scale", {2}, "expected one floating-point number"},
      {"fp8-tensor", "weight", {2048}, "is [2048], expected two sizes above 0"},
      {"nvfp4", "weight_global_scale", {}, "weight_global_scale is missing"},
      {"nvfp4", "weight_global_scale", {1}, "is 0, whose reciprocal is no scale"},
      {"nvfp4", "weight_scale", {32, 2}, "is [32, 2], expected [32, 4]"},
      {"mxfp6", "weight_scale", {32, 4}, "is [32, 4], expected [32, 2]"}};
  for (const BadTensor& tensor : tensors)
    expect_bad_tensor(tensor, kModule, checkpoint_of(tensor.source));
}

TEST(CompressedTensorsErrors, GroupsOfColumnsAreCheckedWhenTheyAreRead) {
  TestCheckpoint checkpoint = checkpoint_of("pack-int4-group");
  const std::string name = std::string(kModule) + ".weight_g_idx";
  checkpoint.add(name, DType::kI32, {64});
  checkpoint.at(name).bytes[8] = 2;
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  expect_contains(
      error_of(
          ErrorKind::kData,
          [&] { opened.model.root->find_parameter(std::string(kModule) + ".weight")->tensor(); }),
      "g_idx[2] is 2, there are 2 groups");
}

TEST(NamePattern, ExpressionsMatchFromTheStart) {
  const auto matches = [](const char* pattern, const char* name) {
    return NamePattern(pattern, "test").matches(name);
  };
  EXPECT_TRUE(matches("lm_head", "lm_head"));
  EXPECT_FALSE(matches("lm_head", "model.lm_head"));
  EXPECT_TRUE(matches("re:.*lm_head", "model.lm_head"));
  EXPECT_FALSE(matches("re:lm_head", "model.lm_head"));
  EXPECT_TRUE(matches(R"(re:model\.layers\.\d+\.)", "model.layers.17.mlp"));
  EXPECT_THROW(matches("re:(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
               DataError);
}

}  // namespace
}  // namespace lathe::frontends
