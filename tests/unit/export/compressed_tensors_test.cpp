// The compressed-tensors dialect: what it can store, the JSON, and, beside the golden data of the
// compressed-tensors library (tests/e2e/compressed_tensors/check.py --golden), every byte.
#include "export/compressed_tensors/compressed_tensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "base/float16.h"
#include "export/compressed_tensors/module_targets.h"
#include "export/hf_checkpoint/checkpoint_plan.h"
#include "export/hf_checkpoint/pack_weight.h"
#include "export/hf_checkpoint/scale_storage.h"
#include "io/json.h"
#include "io/safetensors_reader.h"
#include "lathe/error.h"
#include "unit/export/scratch_folder.h"
#include "unit/export/tiny_model.h"

namespace lathe::exporting {
namespace {

using formats::Format;
using lathe::testing::mixed_scheme;
using lathe::testing::ScratchFolder;
using lathe::testing::tiny_model;
using lathe::testing::uniform_scheme;
using nlohmann::ordered_json;

constexpr Format kInt4Group{formats::kInt4, {1, 32}};
constexpr Format kFp8Groups{formats::kE4M3, {1, 128}};
constexpr Format kInt2Group{formats::int_element(2), {1, 32}};
constexpr Format kInt3Group{formats::int_element(3), {1, 32}};
constexpr Format kInt4PerChannel{formats::kInt4, formats::kPerChannel};
constexpr Format kInt6PerChannel{formats::int_element(6), formats::kPerChannel};
constexpr Format kUint4Group{{.bits = 4, .is_unsigned = true}, {1, 32}};

ExportOptions options_of(const std::string& target = {}) {
  ExportOptions options;
  options.dialect = "compressed-tensors";
  options.target = target;
  options.producer_version = "1.2.3";
  return options;
}

CheckpointPlan plan_of(const QuantizationScheme& scheme) {
  return CheckpointPlan::make(tiny_model(), scheme, options_of());
}

ordered_json config_of(const CheckpointPlan& plan) { return plan.config()["quantization_config"]; }

/// One format, as the dialect stores it.
struct Stored {
  const char* name;
  Format weight;
  std::optional<Format> input;
  bool dynamic;
  const char* format;  // "": the dialect has none
  std::vector<std::string> suffixes;
};

void PrintTo(const Stored& stored, std::ostream* stream) { *stream << stored.name; }

class Formats : public ::testing::TestWithParam<Stored> {};

TEST_P(Formats, HaveTheirStorage) {
  const Stored& test = GetParam();
  const LayerScheme layer{
      .path = "layer", .weight = test.weight, .input = test.input, .input_dynamic = test.dynamic};
  const auto storage = compressed_tensors_dialect().storages({&layer, 1}, DType::kBF16).front();
  ASSERT_EQ(storage.has_value(), *test.format != '\0');
  if (!storage) return;
  EXPECT_EQ(storage->name, test.format);
  std::vector<std::string> suffixes;
  for (const StoredPart& part : storage->parts) suffixes.emplace_back(part.suffix);
  EXPECT_EQ(suffixes, test.suffixes);
  EXPECT_EQ(storage->parts.front().part, LayerPart::kWeight);
  LayerScheme scaled = layer;
  scaled.pre_quant_scale = true;
  EXPECT_FALSE(compressed_tensors_dialect().storages({&scaled, 1}, DType::kBF16).front());
}

using Parts = std::vector<std::string>;
const Parts kPacked = {"weight_packed", "weight_scale", "weight_shape"};
const Parts kPlain = {"weight", "weight_scale"};
const Parts kPlainStatic = {"weight", "weight_scale", "input_scale"};

INSTANTIATE_TEST_SUITE_P(
    Table, Formats,
    ::testing::Values(
        Stored{"int4_group", kInt4Group, {}, false, "pack-quantized", kPacked},
        Stored{"int8_channel", formats::kInt8PerChannel, {}, false, "pack-quantized", kPacked},
        Stored{"int4_tensor", {formats::kInt4, formats::kPerTensor}, {}, false, "", {}},
        Stored{"int4_fp8", kInt4Group, formats::kFp8, false, "", {}},
        Stored{"int4_fp8_token", kInt4Group, formats::kFp8PerChannel, true, "pack-quantized",
               kPacked},
        Stored{"int4_int8_token", kInt4Group, formats::kInt8PerChannel, true, "pack-quantized",
               kPacked},
        Stored{"int6_int4_token", kInt6PerChannel, kInt4PerChannel, true, "pack-quantized",
               kPacked},
        Stored{"int8_fp8_token", formats::kInt8PerChannel, formats::kFp8PerChannel, true, "", {}},
        Stored{"int2_group", kInt2Group, {}, false, "pack-quantized", kPacked},
        Stored{"uint4_group", kUint4Group, {}, false, "", {}},
        Stored{"int8_static", formats::kInt8PerChannel, formats::kInt8PerTensor, false,
               "int-quantized", kPlainStatic},
        Stored{"int8_token", formats::kInt8PerChannel, formats::kInt8PerChannel, true,
               "int-quantized", kPlain},
        Stored{"fp8", formats::kFp8, formats::kFp8, false, "float-quantized", kPlainStatic},
        Stored{"fp8_weights", formats::kFp8, {}, false, "float-quantized", kPlain},
        Stored{"fp8_token", formats::kFp8PerChannel, formats::kFp8PerChannel, true,
               "float-quantized", kPlain},
        Stored{"fp8_block", formats::kFp8Block2d, kFp8Groups, true, "float-quantized", kPlain},
        Stored{"fp8_e5m2", formats::kFp8E5M2, {}, false, "", {}},
        Stored{"nvfp4",
               formats::kNvfp4,
               formats::kNvfp4,
               false,
               "nvfp4-pack-quantized",
               {"weight_packed", "weight_scale", "weight_global_scale", "input_global_scale"}},
        Stored{"nvfp4_weights",
               formats::kNvfp4,
               {},
               false,
               "nvfp4-pack-quantized",
               {"weight_packed", "weight_scale", "weight_global_scale"}},
        Stored{"nvfp4_32", formats::kNvfp4Block32, {}, false, "", {}},
        Stored{"mxfp4",
               formats::kMxfp4,
               formats::kMxfp4,
               true,
               "mxfp4-pack-quantized",
               {"weight_packed", "weight_scale"}},
        Stored{"mxfp6_e2m3",
               formats::kMxfp6E2M3,
               {},
               false,
               "mxfp6-pack-quantized",
               {"weight_packed", "weight_scale"}},
        Stored{"mxfp4_fp8",
               formats::kMxfp4,
               kFp8Groups,
               true,
               "mxfp4-pack-quantized",
               {"weight_packed", "weight_scale"}},
        Stored{"mxfp4_mxfp8",
               formats::kMxfp4,
               formats::kMxfp8,
               true,
               "mxfp4-pack-quantized",
               {"weight_packed", "weight_scale"}},
        Stored{"mxfp6_e3m2", formats::kMxfp6, {}, false, "", {}},
        Stored{"mxfp8", formats::kMxfp8, formats::kMxfp8, true, "mxfp8-quantized", kPlain},
        Stored{"mxint8", formats::kMxint8, {}, false, "", {}}),
    [](const auto& info) { return info.param.name; });

TEST(CompressedTensorsPlan, OneGroupTakesTheClassAndIgnoresTheRest) {
  const ir::Model model = tiny_model();
  QuantizationScheme scheme = uniform_scheme(model, formats::kNvfp4, formats::kNvfp4);
  const CheckpointPlan plan = plan_of(scheme);
  const ordered_json config = config_of(plan);
  EXPECT_EQ(config["quant_method"], "compressed-tensors");
  EXPECT_EQ(config["format"], "nvfp4-pack-quantized");
  EXPECT_EQ(config["quantization_status"], "compressed");
  EXPECT_EQ(config["ignore"], ordered_json(scheme.unquantized));
  EXPECT_TRUE(config["kv_cache_scheme"].is_null());
  const ordered_json arguments = {{"num_bits", 4},
                                  {"type", "float"},
                                  {"symmetric", true},
                                  {"strategy", "tensor_group"},
                                  {"group_size", 16},
                                  {"dynamic", false},
                                  {"scale_dtype", "torch.float8_e4m3fn"}};
  const ordered_json& group = config["config_groups"]["group_0"];
  EXPECT_EQ(group["targets"], ordered_json::array({"Linear"}));
  EXPECT_EQ(group["format"], "nvfp4-pack-quantized");
  EXPECT_EQ(group["weights"], arguments);
  EXPECT_EQ(group["input_activations"]["dynamic"], "local");
  EXPECT_TRUE(plan.hf_quant_config().is_null());
  EXPECT_EQ(plan.algorithm(), "nvfp4-pack-quantized");
  EXPECT_EQ(plan.books().total(Fate::kQuantized).tensors, 14);
}

TEST(CompressedTensorsPlan, SeveralGroupsNameTheirModules) {
  const ir::Model model = tiny_model();
  const CheckpointPlan plan = plan_of(mixed_scheme(model));
  const ordered_json config = config_of(plan);
  EXPECT_EQ(config["format"], "mixed-precision");
  EXPECT_EQ(config["config_groups"]["group_0"]["targets"].size(), 8);
  EXPECT_EQ(config["config_groups"]["group_1"]["targets"].size(), 6);
  EXPECT_EQ(config["config_groups"]["group_1"]["targets"][0], "model.layers.0.mlp.down_proj");
  EXPECT_EQ(config["config_groups"]["group_0"]["format"], "float-quantized");
  const ordered_json cache = {{"num_bits", 8},
                              {"type", "float"},
                              {"symmetric", true},
                              {"strategy", "tensor"},
                              {"dynamic", false}};
  EXPECT_EQ(config["kv_cache_scheme"], cache);
  EXPECT_EQ(plan.kv_algorithm(), "fp8");
  const io::PlannedTensor& scale = plan.tensor("model.layers.1.self_attn.k_scale");
  EXPECT_EQ(scale.dtype, DType::kBF16);
  EXPECT_EQ(scale.shape, std::vector<int64_t>{1});
  EXPECT_TRUE(std::ranges::count(plan.unit("model.layers.1").tensors, scale.name,
                                 &io::PlannedTensor::name));
}

TEST(CompressedTensorsPlan, ProblemsNameTheDialectThatCan) {
  const ir::Model model = tiny_model();
  QuantizationScheme scheme = uniform_scheme(model, formats::kNvfp4Block32, formats::kFp8);
  scheme.kv = mixed_scheme(model).kv;
  for (KvScheme& kv : scheme.kv) kv.format = formats::kNvfp4;
  const auto problems = CheckpointPlan::problems(model, scheme, options_of());
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_NE(
      problems[0].find("q_proj and 13 more: nvfp4_block_32 weights and fp8 inputs: the "
                       "compressed-tensors dialect cannot store them; --dialect modelopt can"),
      std::string::npos)
      << problems[0];
  EXPECT_NE(problems[1].find("has no nvfp4 KV cache; --dialect modelopt can"), std::string::npos)
      << problems[1];
}

TEST(ModuleTargets, ManyNamesThatDifferInNumbersAreOnePattern) {
  std::vector<std::string> experts;
  for (int layer = 0; layer < 8; ++layer) {
    for (int expert = 0; expert < 16; ++expert)
      experts.push_back(fmt::format("model.layers.{}.mlp.experts.{}.up_proj", layer, expert));
  }
  const std::string pattern = R"(re:^model\.layers\.\d+\.mlp\.experts\.\d+\.up_proj$)";
  EXPECT_EQ(module_targets(experts, {"lm_head"}), std::vector<std::string>{pattern});
  const std::string other = "model.layers.99.mlp.experts.0.up_proj";
  EXPECT_EQ(module_targets(experts, {other}).size(), experts.size());
  EXPECT_EQ(module_targets({"lm_head", "a.0.b"}, {}),
            (std::vector<std::string>{"a.0.b", "lm_head"}));
}

/// Scales that engines invert, and that the library divides by: all of them see the same number.
TEST(ScaleStorage, ReciprocalsReadBack) {
  float scale = 1.0f;
  for (int i = 0; i < 20'000; ++i) {
    scale = std::fmod(scale * 1.618034f + 0.577f, 1.0f);
    // The widest gap between scales that will do is at 1.41402.
    const float start = i < 2000 ? 1.41395f + 1e-7f * static_cast<float>(i) : scale + 0.001f;
    const float wanted = std::ldexp(start, -(i % 40));
    const float fitted = reciprocal_scale(wanted);
    const float stored = 1.0f / fitted;
    ASSERT_NEAR(fitted / wanted, 1.0f, 2e-4f);
    ASSERT_EQ(1.0f / stored, fitted);
    for (int code = 1; code < 127; ++code) {
      const float block = formats::decode(formats::kE4M3, static_cast<uint8_t>(code));
      ASSERT_EQ(block / stored, block * fitted) << wanted << " code " << code;
    }
  }
}

TEST(ScaleStorage, HalvesHoldTheNearestScale) {
  EXPECT_EQ(stored_scale(0.1f, DType::kF32), 0.1f);
  EXPECT_EQ(stored_scale(0.1f, DType::kBF16), float_from_bf16(bf16_from_float(0.1f)));
  EXPECT_EQ(stored_scale(1e-9f, DType::kF16), 0x1p-24f);
  EXPECT_EQ(stored_scale(1e9f, DType::kF16), 65504.0f);
  const std::vector<std::byte> bytes = scale_bytes(std::vector<float>{1.0f}, DType::kBF16);
  ASSERT_EQ(bytes.size(), 2u);
  EXPECT_EQ(bytes[1], std::byte{0x3f});
}

struct Golden {
  const char* folder;
  Format weight;
};

void PrintTo(const Golden& golden, std::ostream* stream) { *stream << golden.folder; }

class Bytes : public ::testing::TestWithParam<Golden> {
 protected:
  static std::filesystem::path folder(const std::string& name) {
    return std::filesystem::path(LATHE_GOLDEN_DIR) / "compressed_tensors" / name;
  }

  /// The library's scales of a layer.
  static formats::Scales scales_of(const PlannedLayer& layer, const io::SafetensorsFile& file) {
    formats::Scales scales{.kind = layer.scheme.weight.scale};
    const io::TensorEntry& entry = file.at(layer.scheme.path + ".weight_scale");
    if (scales.kind == formats::ScaleKind::kFloat32) {
      scales.values.resize(entry.bytes / sizeof(float));
      std::memcpy(scales.values.data(), entry.data().data(), entry.bytes);
      return scales;
    }
    scales.codes.resize(entry.bytes);
    std::memcpy(scales.codes.data(), entry.data().data(), entry.bytes);
    if (layer.storage.find(LayerPart::kGlobalScale) == nullptr) return scales;
    float reciprocal = 0;
    std::memcpy(&reciprocal, file.at(layer.scheme.path + ".weight_global_scale").data().data(), 4);
    scales.global_scale = 1.0f / reciprocal;
    return scales;
  }
};

/// With the library's scales the weight's bytes are the library's; names, dtypes and shapes too.
TEST_P(Bytes, AreTheLibrarys) {
  const auto base = io::SafetensorsFile::open(folder("base") / "model.safetensors");
  const auto golden = io::SafetensorsFile::open(folder(GetParam().folder) / "model.safetensors");
  for (const char* path : {"model.layers.0.self_attn.k_proj", "model.layers.0.mlp.down_proj"}) {
    const LayerScheme scheme{.path = path, .weight = GetParam().weight};
    const auto storage = compressed_tensors_dialect().storages({&scheme, 1}, DType::kF32).front();
    ASSERT_TRUE(storage);
    const io::TensorEntry& weight = base.at(std::string(path) + ".weight");
    const PlannedLayer layer{scheme, *storage, weight.shape[0], weight.shape[1]};
    for (const io::TensorSpec& spec :
         layer_tensors(scheme, *storage, weight.shape[0], weight.shape[1])) {
      EXPECT_EQ(golden.at(spec.name).dtype, spec.dtype) << spec.name;
      EXPECT_EQ(golden.at(spec.name).shape, spec.shape) << spec.name;
    }
    const io::TensorEntry& expected = golden.at(layer.weight_name());
    std::vector<std::byte> packed(expected.bytes);
    std::mutex mutex;
    std::vector<std::byte> values(weight.data().begin(), weight.data().end());  // aligned
    pack_weight(layer, {values.data(), weight.dtype, layer.rows, layer.cols},
                scales_of(layer, golden), [&](size_t offset, std::span<const std::byte> bytes) {
                  const std::lock_guard lock(mutex);
                  std::memcpy(&packed.at(offset), bytes.data(), bytes.size());
                });
    EXPECT_TRUE(std::ranges::equal(packed, expected.data())) << path;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Library, Bytes,
    ::testing::Values(Golden{"pack-int4-group", kInt4Group}, Golden{"pack-int3-group", kInt3Group},
                      Golden{"pack-int8-channel", formats::kInt8PerChannel},
                      Golden{"fp8-tensor", formats::kFp8},
                      Golden{"fp8-token", formats::kFp8PerChannel},
                      Golden{"nvfp4", formats::kNvfp4}, Golden{"mxfp4", formats::kMxfp4},
                      Golden{"mxfp6", formats::kMxfp6E2M3}, Golden{"mxfp8", formats::kMxfp8}),
    [](const auto& info) {
      std::string name = info.param.folder;
      std::erase(name, '-');
      return name;
    });

/// A whole folder, written and read back.
TEST(CompressedTensorsExport, WritesWhatItPlanned) {
  const ScratchFolder scratch;
  const ir::Model model = tiny_model();
  const QuantizationScheme scheme = mixed_scheme(model);
  CheckpointExporter exporter(CheckpointPlan::make(model, scheme, options_of()), scratch / "out",
                              ExportMode::kFresh, false);
  ASSERT_TRUE(lathe::testing::run_export(exporter, model, scheme));
  const auto written = io::SafetensorsCheckpoint::open(scratch / "out");
  EXPECT_EQ(written.at("model.layers.0.mlp.up_proj.weight_packed").dtype, DType::kU8);
  float reciprocal = 0;
  std::memcpy(&reciprocal,
              written.at("model.layers.0.mlp.up_proj.input_global_scale").data().data(), 4);
  EXPECT_EQ(reciprocal, 4.0f);  // of 0.25
  EXPECT_EQ(written.find("model.layers.0.mlp.up_proj.weight"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(scratch / "out" / "hf_quant_config.json"));
}

}  // namespace
}  // namespace lathe::exporting
