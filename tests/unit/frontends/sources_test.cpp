// Checkpoints that other tools quantized, compared with what they stand for
// (tests/golden/make_sources.py), and broken ones.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint_fixture.h"
#include "kernels/kernels.h"

namespace lathe::frontends {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kModule = "model.layers.0.self_attn.k_proj";

std::filesystem::path folder_of(const std::string& name) {
  return reference_folder("sources/" + name);
}

TestCheckpoint source(const std::string& name) { return TestCheckpoint::read(folder_of(name)); }

struct Case {
  const char* name;
  const char* method;
  formats::Format weight;
  bool can_be_kept;
  std::optional<formats::Format> input = {};
};

void PrintTo(const Case& item, std::ostream* stream) { *stream << item.name; }

class Sources : public testing::TestWithParam<Case> {};

TEST_P(Sources, WeightsAreDecoded) {
  const OpenedModel opened = open_model(folder_of(GetParam().name), {.dtype = at::kFloat});
  const auto expected = read_tensors(folder_of(GetParam().name) / "expected.safetensors");
  ASSERT_EQ(expected.size(), 7u);
  for (const auto& [name, rows] : expected) {
    const at::Tensor weight = opened.model.root->find_parameter(name)->tensor();
    EXPECT_TRUE(at::equal(weight.slice(0, 0, weight.size(0), 4), rows)) << name;
  }
}

TEST_P(Sources, SourceIsDescribed) {
  const OpenedModel opened = open_model(folder_of(GetParam().name));
  ASSERT_TRUE(opened.quantization.has_value());
  EXPECT_EQ(opened.quantization->method, GetParam().method);
  EXPECT_EQ(opened.quantization->linears.size(), 7u);
  const QuantizedLinear* linear = opened.quantization->find(kModule);
  ASSERT_NE(linear, nullptr);
  EXPECT_EQ(linear->weight_format, GetParam().weight);
  EXPECT_EQ(linear->input_format, GetParam().input);
  EXPECT_EQ(linear->scales != nullptr, GetParam().can_be_kept);
  EXPECT_FALSE(opened.model.config.contains("quantization_config"));
  for (const ir::SourceTensor& tensor : opened.model.tensors) {
    EXPECT_NE(tensor.path.empty(), tensor.dropped.empty()) << tensor.name;
  }
}

/// A decoded weight, in the dtype that the model has, rounded with the scales on file stays what it
/// is.
TEST_P(Sources, ScalesGiveTheSameCodesAgain) {
  if (!GetParam().can_be_kept) {
    EXPECT_EQ(open_model(folder_of(GetParam().name)).quantization->find(kModule)->scales, nullptr);
    return;
  }
  const OpenedModel opened = open_model(folder_of(GetParam().name), {.dtype = at::kFloat});
  for (const QuantizedLinear& linear : opened.quantization->linears) {
    const at::Tensor weight = opened.model.root->find_parameter(linear.path + ".weight")->tensor();
    at::Tensor rounded = weight.to(at::kBFloat16).to(at::kFloat);
    const formats::Scales scales = linear.scales();
    kernels::fake_quantize(
        linear.weight_format,
        {rounded.const_data_ptr(), DType::kF32, rounded.size(0), rounded.size(1)}, scales.view(),
        {rounded.mutable_data_ptr(), DType::kF32, rounded.size(0), rounded.size(1)});
    EXPECT_TRUE(at::equal(rounded, weight)) << linear.path;
  }
}

constexpr formats::Format fp8_blocks(int64_t size) { return {formats::kE4M3, {size, size}}; }

INSTANTIATE_TEST_SUITE_P(
    Tools, Sources,
    testing::Values(Case{"fp8_blocks", "fp8", fp8_blocks(32), true,
                         formats::Format{formats::kE4M3, {1, 32}}},
                    Case{"fp8_edge_blocks", "fp8", fp8_blocks(40), true,
                         formats::Format{formats::kE4M3, {1, 40}}},
                    Case{"fp8_static", "fp8", formats::kFp8, true, formats::kFp8},
                    Case{"gptq", "gptq", {formats::kInt4, {1, 32}}, true},
                    Case{"gptq_act_order", "gptq", {formats::kInt4, {1, 32}}, false},
                    Case{"gptq_v2_8_bits", "gptq", formats::kInt8PerChannel, false},
                    Case{"awq", "awq", {formats::kInt4, {1, 32}}, false}));

TEST(SourceErrors, MethodsThatAreNotReadAreNamed) {
  TestCheckpoint checkpoint = source("awq");
  Json& section = checkpoint.config["quantization_config"];
  section["quant_method"] = "hqq";
  expect_contains(open_error(ErrorKind::kUser, checkpoint),
                  "\"quantization_config.quant_method\" is \"hqq\", which is not supported "
                  "(supported: modelopt, ");
  section = Json{{"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}};
  expect_contains(open_error(ErrorKind::kUser, checkpoint), "quantized with bitsandbytes");
  section["quant_method"] = "bitsandbytes";
  expect_contains(open_error(ErrorKind::kUser, checkpoint), "quantized with bitsandbytes");
}

struct BadOption {
  const char* source;
  const char* key;
  Json value;
  ErrorKind kind;
};

TEST(SourceErrors, OptionsAreChecked) {
  const BadOption options[] = {
      {"awq", "bits", 8, ErrorKind::kUser},
      {"awq", "version", "gemv", ErrorKind::kUser},
      {"awq", "group_size", 0, ErrorKind::kData},
      {"gptq", "bits", 3, ErrorKind::kUser},
      {"gptq", "checkpoint_format", "marlin", ErrorKind::kUser},
      {"gptq", "dynamic", Json{{"+:.*down.*", {{"bits", 8}}}}, ErrorKind::kUser},
      {"fp8_blocks", "fmt", "e5m2", ErrorKind::kUser},
      {"fp8_blocks", "activation_scheme", "none", ErrorKind::kUser},
      {"fp8_blocks", "weight_block_size", Json{32}, ErrorKind::kData},
      {"fp8_blocks", "weight_block_size", Json{0, 32}, ErrorKind::kData}};
  for (const BadOption& option : options) {
    SCOPED_TRACE(fmt::format("{} {}", option.source, option.key));
    TestCheckpoint checkpoint = source(option.source);
    checkpoint.config["quantization_config"][option.key] = option.value;
    expect_contains(open_error(option.kind, checkpoint),
                    fmt::format("quantization_config.{}", option.key));
  }
}

TEST(SourceErrors, TensorsAreChecked) {
  const BadTensor tensors[] = {
      {"gptq", "qzeros", {}, "k_proj.qzeros is missing, which gptq needs"},
      {"gptq", "qzeros", {2, 2}, "k_proj.qzeros is Int [2, 2], expected int32 [2, 4]"},
      {"gptq", "scales", {3, 32}, "k_proj.scales is Half [3, 32], expected floating point [2, 32]"},
      {"gptq", "g_idx", {63}, "k_proj.g_idx is Int [63], expected int32 [64]"},
      {"gptq", "qweight", {8}, "k_proj.qweight is Int [8], expected int32 of two sizes above 0"},
      {"gptq", "qweight", {6, 32}, "groups of 32 do not divide"},
      {"awq", "scales", {}, "k_proj.scales is missing, which awq needs"},
      {"awq", "qweight", {64, 0}, "expected int32 of two sizes above 0"},
      {"fp8_blocks", "weight", {}, "k_proj.weight_scale_inv belongs to no weight"},
      {"fp8_blocks", "weight_scale_inv", {}, "k_proj.weight is in float8_e4m3fn, but"},
      {"fp8_blocks", "weight_scale_inv", {2, 2}, "is [2, 2], expected [1, 2] for a weight of"},
      {"fp8_static", "input_scale", {}, "k_proj.input_scale is missing, which activation_scheme"},
      {"fp8_static", "weight_scale", {2}, "is [2], expected one number"}};
  for (const BadTensor& tensor : tensors) expect_bad_tensor(tensor, kModule, source(tensor.source));
}

/// What is wrong with values is found when they are read.
std::string decode_error(TestCheckpoint& checkpoint, const char* tensor, size_t offset,
                         std::string_view bytes) {
  checkpoint.at(fmt::format("{}.{}", kModule, tensor)).bytes.replace(offset, bytes.size(), bytes);
  const TemporaryFolder folder;
  const OpenedModel opened = open_checkpoint(checkpoint, folder);
  return error_of(ErrorKind::kData, [&] {
    opened.model.root->find_parameter(std::string(kModule) + ".weight")->tensor();
    opened.quantization->find(kModule)->scales();
  });
}

TEST(SourceErrors, ValuesAreChecked) {
  TestCheckpoint checkpoint = source("gptq");
  expect_contains(decode_error(checkpoint, "g_idx", 8, std::string_view("\x02\0\0\0", 4)),
                  "g_idx[2] is 2, there are 2 groups");
  checkpoint = source("gptq");
  expect_contains(decode_error(checkpoint, "g_idx", 8, std::string_view("\x01\0\0\0", 4)),
                  "g_idx changes the order of the groups");
  checkpoint = source("gptq");
  expect_contains(decode_error(checkpoint, "qzeros", 0, "\x66"), "there are zero points");
  checkpoint = source("gptq");
  expect_contains(decode_error(checkpoint, "scales", 0, std::string_view("\0\x7c", 2)),
                  "scales hold NaN or infinite numbers");
  checkpoint = source("fp8_blocks");
  expect_contains(
      decode_error(checkpoint, "weight_scale_inv", 0, std::string_view("\0\0\x80\xbf", 4)),
      "k_proj.weight_scale_inv holds -1");
}

}  // namespace
}  // namespace lathe::frontends
