// What each consumer asks of a checkpoint: before work, by plans, and after it, by broken folders.
#include <gtest/gtest.h>

#include <cstring>

#include "base/output_file.h"
#include "export/hf_checkpoint/checkpoint_exporter.h"
#include "export/targets/target.h"
#include "export/targets/written_checkpoint.h"
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

constexpr Format kInt4Group32{formats::kInt4, {1, 32}};
constexpr Format kInt4Group16{formats::kInt4, {1, 16}};
constexpr Format kInt4Group64{formats::kInt4, {1, 64}};

/// A format for all layers, asked for a target: what is said, or "" if it would load.
struct Asked {
  const char* name;
  const char* dialect;
  const char* target;
  Format weight;
  std::optional<Format> input;
  bool dynamic;
  const char* problem;
};

void PrintTo(const Asked& asked, std::ostream* stream) { *stream << asked.name; }

class Plans : public ::testing::TestWithParam<Asked> {};

TEST_P(Plans, SayWhatWouldNotLoad) {
  const Asked& asked = GetParam();
  const ir::Model model = tiny_model();
  ExportOptions options;
  options.dialect = asked.dialect;
  options.target = asked.target;
  const auto problems = CheckpointPlan::problems(
      model, uniform_scheme(model, asked.weight, asked.input, asked.dynamic), options);
  if (*asked.problem == '\0') {
    EXPECT_TRUE(problems.empty()) << problems.front();
    return;
  }
  ASSERT_FALSE(problems.empty());
  EXPECT_NE(problems.front().find(asked.problem), std::string::npos) << problems.front();
}

constexpr const char* kM = "modelopt";
constexpr const char* kC = "compressed-tensors";
constexpr std::optional<Format> kNone = std::nullopt;

INSTANTIATE_TEST_SUITE_P(
    Rules, Plans,
    ::testing::Values(
        Asked{"any", kM, "", kInt4Group32, kNone, false, ""},
        Asked{"no_target", kM, "tgi", kInt4Group32, kNone, false, "vllm, sglang, trtllm and"},
        Asked{"vllm_fp8", kM, "vllm", formats::kFp8, formats::kFp8, false, ""},
        Asked{"vllm_awq", kM, "vllm", kInt4Group32, kNone, false,
              "q_proj and 13 more: vLLM does not read W4A16_AWQ of the modelopt dialect; use "
              "--dialect compressed-tensors"},
        Asked{"vllm_int8", kM, "vllm", formats::kInt8PerChannel, formats::kInt8PerTensor, false,
              "use --dialect compressed-tensors"},
        Asked{"vllm_int4", kC, "vllm", kInt4Group32, kNone, false, ""},
        Asked{"vllm_int4_group", kC, "vllm", kInt4Group16, kNone, false,
              "vLLM (pack-quantized): integer weights need groups of 32, 64 or 128"},
        Asked{"vllm_int4_fp8", kC, "vllm", kInt4Group32, formats::kFp8PerChannel, true,
              "with FP8 inputs it reads INT4 weights in groups of 128"},
        Asked{"vllm_blocks", kM, "vllm", formats::kFp8Block2d, kNone, false,
              "need N and K divisible by 128"},
        Asked{"vllm_mxfp6", kC, "vllm", formats::kMxfp6E2M3, kNone, false,
              "it is read by transformers"},
        Asked{"sglang_int4", kC, "sglang", kInt4Group32, kNone, false, ""},
        Asked{"sglang_int4_fp8", kC, "sglang", kInt4Group32, formats::kFp8PerChannel, true,
              "SGLang (pack-quantized): of packed integers it reads INT4 and INT8 weights"},
        Asked{"sglang_nvfp4", kM, "sglang", formats::kNvfp4, formats::kNvfp4, false, ""},
        Asked{"sglang_mxfp8", kM, "sglang", formats::kMxfp8, formats::kMxfp8, true,
              "use --dialect compressed-tensors"},
        Asked{"trtllm_fp8", kC, "trtllm", formats::kFp8, formats::kFp8, false,
              "use --format fp8_pc_pt, or --dialect modelopt"},
        Asked{"trtllm_token", kC, "trtllm", formats::kFp8PerChannel, formats::kFp8PerChannel, true,
              ""},
        Asked{"trtllm_channel", kC, "trtllm", formats::kFp8PerChannel, formats::kFp8, false,
              "FP8 by channel needs inputs by token"},
        Asked{"trtllm_int4", kC, "trtllm", kInt4Group64, kNone, false, "use --dialect modelopt"},
        Asked{"trtllm_awq", kM, "trtllm", kInt4Group64, kNone, false,
              "o_proj and 3 more: TensorRT-LLM (W4A16_AWQ): it needs a pre_quant_scale"},
        Asked{"trtllm_mxfp4", kC, "trtllm", formats::kMxfp4, formats::kMxfp4, true,
              "MXFP4 is read for weights alone"},
        Asked{"trtllm_nvfp4", kC, "trtllm", formats::kNvfp4, kNone, false, "use --format nvfp4"},
        Asked{"transformers_fp8", kM, "transformers", formats::kFp8, formats::kFp8, false,
              "use --dialect compressed-tensors"},
        Asked{"transformers_int4", kC, "transformers", kInt4Group32, kNone, false, ""}),
    [](const auto& info) { return info.param.name; });

std::vector<std::string> problems_of(const QuantizationScheme& scheme, const std::string& dialect,
                                     const std::string& target) {
  ExportOptions options;
  options.dialect = dialect;
  options.target = target;
  return CheckpointPlan::problems(tiny_model(), scheme, options);
}

TEST(TargetPlans, FusedLayersNeedOneFormat) {
  const ir::Model model = tiny_model();
  QuantizationScheme scheme = uniform_scheme(model, formats::kFp8, formats::kFp8);
  std::erase_if(scheme.layers, [](const LayerScheme& layer) {
    return layer.path.ends_with("0.self_attn.k_proj");
  });
  scheme.unquantized.push_back("model.layers.0.self_attn.k_proj");
  const auto problems = problems_of(scheme, kM, "vllm");
  EXPECT_TRUE(problems_of(scheme, kM, "").empty());
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("which vLLM fuses with it"), std::string::npos) << problems[0];
  EXPECT_NE(problems[0].find("not quantized"), std::string::npos) << problems[0];
}

TEST(TargetPlans, MixedPrecisionOfModeloptHasItsMembers) {
  const ir::Model model = tiny_model();
  QuantizationScheme scheme = uniform_scheme(model, formats::kFp8, formats::kFp8);
  for (LayerScheme& layer : scheme.layers) {
    if (layer.path.find(".mlp.") == std::string::npos) continue;
    layer.weight = formats::kMxfp8;
    layer.input = formats::kMxfp8;
    layer.input_dynamic = true;
  }
  EXPECT_TRUE(problems_of(scheme, kM, "").empty());
  EXPECT_TRUE(problems_of(scheme, kC, "vllm").empty());
  const auto problems = problems_of(scheme, kM, "vllm");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("MIXED_PRECISION may have"), std::string::npos) << problems[0];
}

TEST(TargetPlans, CachesOfSglangAreFp8) {
  const ir::Model model = tiny_model();
  QuantizationScheme scheme = uniform_scheme(model, formats::kNvfp4, formats::kNvfp4);
  scheme.kv = mixed_scheme(model).kv;
  for (KvScheme& kv : scheme.kv) kv.format = formats::kNvfp4;
  EXPECT_TRUE(problems_of(scheme, kM, "vllm").empty());
  ASSERT_EQ(problems_of(scheme, kM, "sglang").size(), 1u);
}

TEST(TargetPlans, ModulesAreFusedByTheirNames) {
  EXPECT_EQ(fused_modules({"a.q_proj", "a.k_proj", "b.q_proj", "a.o_proj", "c.experts.0.w1",
                           "c.experts.0.w3", "c.experts.1.w1", "d.encoder_attn.q_proj",
                           "d.encoder_attn.k_proj"}),
            (std::vector<std::vector<std::string>>{{"a.q_proj", "a.k_proj"},
                                                   {"c.experts.0.w1", "c.experts.0.w3"}}));
  EXPECT_EQ(expert_modules({"c.experts.0.w1", "c.experts.1.w2", "c.gate", "c.shared_experts.w1"}),
            (std::vector<std::vector<std::string>>{{"c.experts.0.w1", "c.experts.1.w2"}}));
}

/// A folder of tiny_model() in one dialect, to be broken.
class WrittenFolder {
 public:
  explicit WrittenFolder(const std::string& dialect) : dialect_(dialect) {
    const ir::Model model = tiny_model();
    const QuantizationScheme scheme = mixed_scheme(model);
    ExportOptions options;
    options.dialect = dialect;
    CheckpointExporter exporter(CheckpointPlan::make(model, scheme, options), path(),
                                ExportMode::kFresh, false);
    EXPECT_TRUE(lathe::testing::run_export(exporter, model, scheme));
  }

  std::filesystem::path path() const { return scratch_ / "out"; }

  template <typename Change>
  void change_json(const std::string& file, const Change& change) {
    nlohmann::ordered_json json = io::read_ordered_json(path() / file);
    change(json);
    write_file(path() / file, io::dump_json(json));
  }

  /// Other bytes of the same number, at the beginning of a tensor.
  void overwrite(const std::string& tensor, std::string_view bytes) {
    size_t offset = 0;
    {
      const auto file = io::SafetensorsFile::open(path() / "model.safetensors");
      offset = file.at(tensor).offset;
    }
    std::string contents = read_file(path() / "model.safetensors");
    contents.replace(offset, bytes.size(), bytes);
    write_file(path() / "model.safetensors", contents);
  }

  /// Another name of the same length.
  void rename(const std::string& name, const std::string& other) {
    ASSERT_EQ(name.size(), other.size());
    std::string contents = read_file(path() / "model.safetensors");
    contents.replace(contents.find("\"" + name + "\"") + 1, name.size(), other);
    write_file(path() / "model.safetensors", contents);
  }

  std::string problem() const {
    const auto problems =
        written_problems(io::SafetensorsCheckpoint::open(path()), dialect_, Target::kVllm);
    return problems.empty() ? "" : problems.front();
  }

 private:
  ScratchFolder scratch_;
  std::string dialect_;
};

void expect_problem(const WrittenFolder& folder, const std::string& part) {
  EXPECT_NE(folder.problem().find(part), std::string::npos) << folder.problem();
}

TEST(WrittenCheckpoint, ScalesOfFusedLayersAreEqual) {
  for (const auto& [dialect, name] :
       {std::pair{kM, "weight_scale_2"}, {kC, "weight_global_scale"}}) {
    WrittenFolder folder(dialect);
    EXPECT_EQ(folder.problem(), "");
    folder.overwrite(std::string("model.layers.1.mlp.up_proj.") + name,
                     std::string_view("\0\0\0\x40", 4));
    expect_problem(folder, std::string("up_proj.") + name + " is not equal to that of");
  }
}

TEST(WrittenCheckpoint, KeysOfTheJsonAreChecked) {
  WrittenFolder folder(kC);
  const auto group = [](nlohmann::ordered_json& json) -> nlohmann::ordered_json& {
    return json["quantization_config"]["config_groups"]["group_0"];
  };
  folder.change_json("config.json",
                     [&](auto& json) { group(json)["weights"]["pre_quant_scale"] = true; });
  expect_problem(folder, "group_0.weights: no reader knows \"pre_quant_scale\"");
  folder.change_json("config.json", [&](auto& json) {
    group(json)["weights"].erase("pre_quant_scale");
    group(json)["weights"].erase("strategy");
  });
  expect_problem(folder, "\"strategy\" is missing");
  folder.change_json("config.json", [&](auto& json) {
    group(json)["weights"]["strategy"] = "tensor";
    group(json)["targets"] = {"Linear"};
  });
  expect_problem(folder, "must name its modules");
}

TEST(WrittenCheckpoint, KeysOfModeloptAreChecked) {
  WrittenFolder folder(kM);
  folder.change_json("hf_quant_config.json",
                     [](auto& json) { json["quantization"].erase("exclude_modules"); });
  expect_problem(folder, "hf_quant_config.json: \"exclude_modules\" is missing");
  folder.change_json("hf_quant_config.json", [](auto& json) {
    json["quantization"]["exclude_modules"] = nlohmann::json::array();
    json["quantization"]["quantized_layers"] = nlohmann::json::object();
  });
  expect_problem(folder, "MIXED_PRECISION without quantized_layers");
}

TEST(WrittenCheckpoint, TensorsAreChecked) {
  const std::string up = "model.layers.0.mlp.up_proj.";
  WrittenFolder scale(kC);
  scale.overwrite(up + "input_global_scale", std::string_view("\0\0\xc0\x7f", 4));
  expect_problem(scale, "up_proj: input_global_scale is no finite number above 0");
  WrittenFolder missing(kC);
  missing.rename(up + "weight_global_scale", up + "weight_global_seale");
  expect_problem(missing, "up_proj: weight_scale does not fit the weight");
  WrittenFolder swapped(kM);
  swapped.rename(up + "input_scale", up + "input_seale");
  expect_problem(swapped, "input_scale is not equal");
}

}  // namespace
}  // namespace lathe::exporting
