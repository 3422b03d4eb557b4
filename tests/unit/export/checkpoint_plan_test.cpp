#include "export/hf_checkpoint/checkpoint_plan.h"

#include <gtest/gtest.h>

#include <ATen/ops/empty.h>

#include <algorithm>

#include "io/json.h"
#include "lathe/error.h"
#include "unit/export/model_tree.h"
#include "unit/export/tiny_model.h"

namespace lathe::exporting {
namespace {

using lathe::testing::mixed_scheme;
using lathe::testing::put_tensor;
using lathe::testing::tiny_model;
using lathe::testing::uniform_scheme;
using ::testing::Test;

const ExportOptions kOptions{.dialect = "modelopt",
                             .max_shard_bytes = 5'000'000'000,
                             .producer_version = "1.2.3",
                             .fingerprint = {}};

std::string problem_text(const ir::Model& model, const QuantizationScheme& scheme,
                         const ExportOptions& options = kOptions) {
  try {
    CheckpointPlan::make(model, scheme, options);
  } catch (const UserError& error) {
    return error.what();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string file_contents(const CheckpointPlan& plan, const std::string& name) {
  for (const PlannedFile& file : plan.files()) {
    if (file.name == name) return file.contents;
  }
  return "(no such file)";
}

ir::ParameterPtr empty_parameter(const std::vector<int64_t>& shape,
                                 at::ScalarType dtype = at::kBFloat16) {
  return std::make_shared<ir::Parameter>(at::empty(shape, dtype));
}

TEST(CheckpointPlan, UnitsAreBlocksAndModulesOutsideOfThem) {
  const ir::Model model = tiny_model();
  const auto plan = CheckpointPlan::make(model, mixed_scheme(model), kOptions);
  std::vector<std::string> names;
  size_t tensors = 0;
  for (const ExportUnit& unit : plan.units()) {
    names.push_back(unit.name);
    tensors += unit.tensors.size();
  }
  EXPECT_EQ(names, (std::vector<std::string>{"model.embed_tokens", "model.layers.0",
                                             "model.layers.1", "model.norm"}));
  EXPECT_EQ(tensors, plan.layout().tensors.size());
  const auto block = plan.unit("model.layers.0").tensors;
  EXPECT_TRUE(std::ranges::count(block, "model.layers.0.self_attn.k_proj.k_scale",
                                 &io::PlannedTensor::name));
  EXPECT_THROW(plan.unit("model.layers.2"), InternalError);
  EXPECT_THROW(plan.tensor("lm_head.weight"), InternalError);
}

TEST(CheckpointPlan, MixedPrecisionNamesEachLayer) {
  const ir::Model model = tiny_model();
  const auto plan = CheckpointPlan::make(model, mixed_scheme(model), kOptions);
  const auto& quantization = plan.hf_quant_config()["quantization"];
  EXPECT_EQ(quantization["quant_algo"], "MIXED_PRECISION");
  EXPECT_EQ(quantization["kv_cache_quant_algo"], "FP8");
  EXPECT_EQ(quantization["quantized_layers"].size(), 14);
  EXPECT_EQ(quantization["quantized_layers"]["model.layers.0.self_attn.q_proj"],
            (nlohmann::ordered_json{{"quant_algo", "FP8"}}));
  EXPECT_EQ(quantization["quantized_layers"]["model.layers.1.mlp.up_proj"],
            (nlohmann::ordered_json{{"quant_algo", "NVFP4"}, {"group_size", 16}}));

  const auto& config = plan.config()["quantization_config"];
  EXPECT_EQ(config["config_groups"].size(), 2);
  const auto& mlp = config["config_groups"]["group_1"];
  EXPECT_EQ(mlp["weights"]["group_size"], 16);
  EXPECT_EQ(mlp["targets"].size(), 6);
  EXPECT_TRUE(std::ranges::is_sorted(mlp["targets"].get<std::vector<std::string>>()));
  EXPECT_EQ(config["quantized_layers"], quantization["quantized_layers"]);
  EXPECT_EQ(config["quant_algo"], "MIXED_PRECISION");
  EXPECT_EQ(config["quant_method"], "modelopt");
  EXPECT_EQ(config["producer"], plan.hf_quant_config()["producer"]);
  EXPECT_EQ(config["ignore"], quantization["exclude_modules"]);
  EXPECT_EQ(config["producer"]["written_by"], "lathe 1.2.3");
}

TEST(CheckpointPlan, LayersThatDifferInGroupSizeAreMixed) {
  const ir::Model model = tiny_model();
  auto scheme = uniform_scheme(model, {formats::kInt4, {1, 32}});
  scheme.layers.back().weight.block.cols = 64;
  const auto plan = CheckpointPlan::make(model, scheme, kOptions);
  const auto& layers = plan.hf_quant_config()["quantization"]["quantized_layers"];
  EXPECT_EQ(layers.front()["group_size"], 32);
  EXPECT_EQ(layers.back()["group_size"], 64);
  EXPECT_EQ(layers.back()["quant_algo"], "W4A16_AWQ");
}

TEST(CheckpointPlan, OnePreQuantScaleNamesTheAlgorithmOfAllLayersOfItsFormat) {
  const ir::Model model = tiny_model();
  auto scheme = uniform_scheme(model, formats::kNvfp4, formats::kNvfp4);
  EXPECT_EQ(CheckpointPlan::make(model, scheme, kOptions).layers().front().storage.name, "NVFP4");
  scheme.layers.back().pre_quant_scale = true;
  const auto plan = CheckpointPlan::make(model, scheme, kOptions);
  EXPECT_EQ(plan.hf_quant_config()["quantization"]["quant_algo"], "NVFP4_AWQ");
  const auto& scale = plan.tensor(scheme.layers.back().path + ".pre_quant_scale");
  EXPECT_EQ(scale.dtype, DType::kBF16);
  EXPECT_THROW(plan.tensor(scheme.layers.front().path + ".pre_quant_scale"), InternalError);
}

TEST(CheckpointPlan, WithoutQuantizationItIsACopy) {
  ir::Model model = tiny_model();
  model.config["quantization_config"] = "of the source";
  const auto plan = CheckpointPlan::make(model, {}, kOptions);
  EXPECT_TRUE(plan.hf_quant_config().is_null());
  EXPECT_FALSE(plan.config().contains("quantization_config"));
  EXPECT_EQ(file_contents(plan, "hf_quant_config.json"), "(no such file)");
  EXPECT_EQ(plan.layout().tensors.size(), model.tensors.size());
}

TEST(CheckpointPlan, KvCacheAlone) {
  const ir::Model model = tiny_model();
  QuantizationScheme scheme;
  scheme.kv = mixed_scheme(model).kv;
  scheme.kv.front().format = scheme.kv.back().format = formats::kNvfp4;
  const auto plan = CheckpointPlan::make(model, scheme, kOptions);
  EXPECT_TRUE(plan.hf_quant_config()["quantization"]["quant_algo"].is_null());
  EXPECT_EQ(plan.config()["quantization_config"]["kv_cache_scheme"], "NVFP4");
}

TEST(CheckpointPlan, GenerationConfigThatSamplesSaysSo) {
  const auto generation_config = [](const std::string& text) {
    ir::Model model = tiny_model();
    model.files = {{"generation_config.json", {}, text}};
    return file_contents(CheckpointPlan::make(model, {}, kOptions), "generation_config.json");
  };
  EXPECT_EQ(io::parse_json(generation_config("{\"top_k\": 5, \"do_sample\": false}"), "test"),
            (nlohmann::json{{"top_k", 5}, {"do_sample", true}}));
  for (const char* kept : {"{\"top_k\":null}", "{\"top_p\":0.5,\"do_sample\":true}", "{}"}) {
    EXPECT_EQ(generation_config(kept), kept);
  }
}

TEST(CheckpointPlan, BooksHoldEveryTensorOfTheSource) {
  ir::Model model = tiny_model();
  const auto rotary = empty_parameter({8}, at::kFloat);
  model.tensors.push_back({"rotary.inv_freq", "", "it is computed", rotary});
  model.tensors.push_back({"lm_head.weight", "lm_head.weight", "", empty_parameter({32, 64})});
  put_tensor(model, "experts.w", empty_parameter({2, 4}));
  model.tensors.back().name = "experts.0.w";
  model.tensors.push_back({"experts.1.w", "experts.w", "", empty_parameter({4})});

  const Books books = CheckpointPlan::make(model, mixed_scheme(model), kOptions).books();
  EXPECT_EQ(books.total(Fate::kQuantized).tensors, 14);
  EXPECT_EQ(books.total(Fate::kQuantized).bytes, 2 * (4 * 64 * 64 + 3 * 128 * 64) * 2);
  EXPECT_EQ(books.total(Fate::kCopied).tensors, 6);
  EXPECT_EQ(books.total(Fate::kMerged).tensors, 3);
  EXPECT_EQ(books.total(Fate::kDropped).tensors, 1);
  EXPECT_EQ(books.total(Fate::kDropped).bytes, 32);
  EXPECT_TRUE(contains(books.summary(), "24 tensors: 14 quantized (164 kB), 6 copied"));
}

TEST(CheckpointPlan, ALostTensorIsAnError) {
  ir::Model model = tiny_model();
  model.tensors.push_back({"extra", "model.extra", "", empty_parameter({4})});
  EXPECT_THROW(CheckpointPlan::make(model, {}, kOptions), InternalError);
  model.tensors.back().path.clear();  // dropped, but why?
  EXPECT_THROW(CheckpointPlan::make(model, {}, kOptions), InternalError);
}

TEST(CheckpointPlan, ListsAllProblemsAtOnce) {
  ir::Model model = tiny_model();
  put_tensor(model, "model.layers.0.odd_proj.weight", empty_parameter({63, 64}));
  put_tensor(model, "model.layers.0.short_proj.weight", empty_parameter({64, 40}));
  put_tensor(model, "model.layers.0.cube_proj.weight", empty_parameter({2, 64, 64}));
  auto scheme = uniform_scheme(model, {formats::kInt4, {1, 64}});
  scheme.layers[0].weight = formats::kMxint8;
  scheme.layers[1].weight = formats::kMxint8;
  scheme.layers[2].weight = formats::kFp8;  // weight-only
  scheme.unquantized.clear();
  scheme.layers.push_back({.path = "lm_head", .weight = {formats::kInt4, {1, 64}}});
  scheme.kv = mixed_scheme(model).kv;
  scheme.kv.back().format = formats::kNvfp4;
  model.files.push_back({"merges.txt", "/nonexistent/merges.txt", {}});
  model.files.push_back({"../escape", {}, "x"});
  model.files.push_back({"config.json", {}, "x"});

  const std::string text =
      problem_text(model, scheme, {.dialect = "modelopt", .max_shard_bytes = 0});
  for (const char* part :
       {"11 problems",
        "q_proj and 1 more: mxint8 weights: the modelopt dialect cannot store them, and no other",
        "v_proj: fp8 weights: the modelopt dialect cannot store them; --dialect compressed-tensors "
        "can",
        "odd_proj: N = 63 is odd", "short_proj: K = 40 is not", "cube_proj: the weight has 3 dim",
        "lm_head: the weight is tied to model.embed_tokens.weight",
        "k_proj: a KV cache of NVFP4, that of model.layers.0.self_attn.k_proj is FP8", "merges.txt",
        "\"../escape\"", "\"config.json\"", "shard size"}) {
    EXPECT_TRUE(contains(text, part)) << part << "\nin\n" << text;
  }
}

TEST(CheckpointPlan, RefusesWhatItCannotName) {
  const ir::Model model = tiny_model();
  EXPECT_TRUE(contains(problem_text(model, {}, {.dialect = "gguf"}), "\"gguf\""));
  auto scheme = uniform_scheme(model, formats::kFp8, formats::kFp8);
  scheme.layers[0].pre_quant_scale = true;
  EXPECT_TRUE(contains(problem_text(model, scheme), "fp8 inputs with a pre_quant_scale"));
  scheme = {};
  scheme.kv = mixed_scheme(model).kv;
  scheme.kv[0].format = scheme.kv[1].format = formats::kInt8PerTensor;
  EXPECT_TRUE(
      contains(problem_text(model, scheme), "k_proj and 1 more: the modelopt dialect has no"));
  scheme = uniform_scheme(model, formats::kFp8, formats::kFp8);
  scheme.layers[0].path = "model.layers.7.q_proj";
  EXPECT_THROW(CheckpointPlan::make(model, scheme, kOptions), InternalError);
}

TEST(CheckpointPlan, TheFingerprintChangesWhatCanBeResumed) {
  const ir::Model model = tiny_model();
  ExportOptions options = kOptions;
  const auto hash = [&](const QuantizationScheme& scheme) {
    return CheckpointPlan::make(model, scheme, options).layout().hash();
  };
  const uint64_t before = hash(mixed_scheme(model));
  EXPECT_EQ(hash(mixed_scheme(model)), before);
  options.fingerprint = "another recipe";
  EXPECT_NE(hash(mixed_scheme(model)), before);
}

}  // namespace
}  // namespace lathe::exporting
