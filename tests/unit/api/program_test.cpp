// Programs of torch.export, quantized: in memory, written, and read back.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "lathe/lathe.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (fs::temp_directory_path() / "lathe-program-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw UserError("no scratch folder");
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;  // a destructor must not throw; the folder is in /tmp
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

fs::path golden(const std::string& name) {
  return fs::path(LATHE_GOLDEN_DIR) / "torch_export" / name;
}

/// The inputs and outputs of the net's first call.
struct Call {
  NamedTensors inputs;
  NamedTensors outputs;
};

Call golden_call(const std::string& name) {
  Call call;
  for (auto& [key, tensor] : load_tensors(golden(name + ".safetensors").string())) {
    if (key.starts_with("0.input.")) call.inputs.emplace(key.substr(8), tensor);
    if (key.starts_with("0.output.")) call.outputs.emplace(key.substr(9), tensor);
  }
  return call;
}

/// max |a - b| / max |b| over all float32 outputs.
double difference(const NamedTensors& a, const NamedTensors& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (const auto& [name, wanted] : b) {
    const Tensor& found = a.at(name);
    EXPECT_EQ(found.shape(), wanted.shape()) << name;
    if (wanted.dtype() != DType::kF32) continue;
    double largest = 1e-6, error = 0;
    for (size_t i = 0; i < wanted.values<float>().size(); ++i) {
      largest = std::max<double>(largest, std::abs(wanted.values<float>()[i]));
      error =
          std::max<double>(error, std::abs(found.values<float>()[i] - wanted.values<float>()[i]));
    }
    worst = std::max(worst, error / largest);
  }
  return worst;
}

struct Case {
  const char* net;
  const char* format;
  double error;  // of the quantized model, against torch's outputs of the float one
};

class QuantizedPrograms : public testing::TestWithParam<Case> {};

/// What is written gives what the quantized model in memory gives.
TEST_P(QuantizedPrograms, GiveInMemoryWhatTheyGiveFromTheFile) {
  const Case& param = GetParam();
  const Call call = golden_call(param.net);
  Model model = Model::open(golden(std::string(param.net) + ".pt2").string());
  quantize(model, QuantizeConfig::from_preset(param.format),
           [&](Model& quantized) { quantized.run(call.inputs); });
  const NamedTensors from_memory = model.run(call.inputs);
  EXPECT_LT(difference(from_memory, call.outputs), param.error);

  const ScratchFolder folder;
  const std::string path = (folder.path() / "out.pt2").string();
  const ExportReport written = export_program(model, path);
  EXPECT_GT(written.quantized_tensors, 0);
  Model read_back = Model::open(path);
  EXPECT_LT(difference(read_back.run(call.inputs), from_memory), 1e-6);
  EXPECT_TRUE(fs::exists(folder.path() / "out.state.safetensors"));
}

INSTANTIATE_TEST_SUITE_P(
    Nets, QuantizedPrograms,
    testing::Values(Case{"v2_11/resnet", "int8", 0.1}, Case{"v2_11/resnet", "fp8", 0.2},
                    Case{"v2_11/resnet", "int8_wo", 0.1},
                    Case{"v2_11/resnet_decomposed", "int8", 0.1},
                    Case{"v2_11/resnet_dynamic", "int8", 0.1}, Case{"v2_6/resnet", "int8", 0.1},
                    Case{"v2_11/unet", "int8", 0.1}, Case{"v2_11/unet3d", "fp8", 0.2},
                    Case{"v2_11/mobilenet", "int8", 0.2}, Case{"v2_11/wavenet", "int8", 0.1},
                    Case{"v2_11/vit", "int8", 0.1}, Case{"v2_11/vit", "fp8", 0.2},
                    Case{"v2_11/vit_decomposed", "int8", 0.1}, Case{"v2_11/swin", "int8", 0.1},
                    Case{"v2_11/llama", "fp8", 0.3}, Case{"v2_11/gpt2", "int8", 0.1},
                    Case{"v2_11/gpt2", "fp8", 0.2}, Case{"v2_11/gpt2", "int8_wo", 0.1},
                    Case{"v2_11/gpt_dynamic", "int8", 0.1}, Case{"v2_11/detr", "int8", 0.2},
                    Case{"v2_11/detr", "fp8", 0.3}, Case{"v2_11/detr", "int8_wo", 0.1},
                    Case{"v2_11/masked_attention", "int8", 0.1}, Case{"v2_11/lstm", "int8", 0.1},
                    Case{"v2_11/shared", "int8", 0.1}),
    [](const testing::TestParamInfo<Case>& info) {
      std::string name = std::string(info.param.net) + "_" + info.param.format;
      std::replace(name.begin(), name.end(), '/', '_');
      return name;
    });

TEST(Programs, BatchNormsAreFoldedWithoutChangingWhatTheModelGives) {
  for (const char* net : {"v2_11/resnet", "v2_6/resnet", "v2_11/resnet_decomposed", "v2_11/unet3d",
                          "v2_11/mobilenet", "v2_11/shufflenet", "v2_11/efficientnet"}) {
    SCOPED_TRACE(net);
    const Call call = golden_call(net);
    Model model = Model::open(golden(std::string(net) + ".pt2").string());
    quantize(model, QuantizeConfig::from_preset("int8_wo"));
    disable_quantizers(model, "*");
    const auto modules = model.modules();
    EXPECT_TRUE(std::any_of(modules.begin(), modules.end(),
                            [](const ModuleInfo& module) { return module.type == "Identity"; }));
    EXPECT_LT(difference(model.run(call.inputs), call.outputs), 1e-5);
  }
}

TEST(Programs, TheKvCacheOfAttentionIsQuantized) {
  const Call call = golden_call("v2_11/vit");
  Model model = Model::open(golden("v2_11/vit.pt2").string());
  QuantizeConfig config = QuantizeConfig::from_preset("fp8");
  config.add_kv_cache("fp8");
  quantize(model, config, [&](Model& quantized) { quantized.run(call.inputs); });
  const ScratchFolder folder;
  const std::string path = (folder.path() / "out.pt2").string();
  export_program(model, path);
  EXPECT_LT(difference(Model::open(path).run(call.inputs), model.run(call.inputs)), 1e-6);
}

QuantizePlan plan_of(const std::string& net, const std::string& format,
                     const std::string& calibration) {
  QuantizeJob job;
  job.model = golden(net + ".pt2").string();
  job.format = format;
  job.calibration = calibration;
  return plan_job(job);
}

TEST(Programs, PlansListAllProblems) {
  const ScratchFolder folder;
  const std::string data = (folder.path() / "data.safetensors").string();
  save_tensors(data, {{"pixels", Tensor::of<float>({1, 2}, {2})}});
  const QuantizePlan no_tensor = plan_of("v2_11/resnet", "int8", data);
  ASSERT_EQ(no_tensor.problems.size(), 1u);
  EXPECT_NE(no_tensor.problems[0].find("there is no tensor \"x\""), std::string::npos);
  EXPECT_EQ(no_tensor.problem_kind, ErrorKind::kData);

  save_tensors(data, {{"x", Tensor::of<float>({1, 2}, {2})}});
  const QuantizePlan wrong_shape = plan_of("v2_11/resnet", "int8", data);
  ASSERT_EQ(wrong_shape.problems.size(), 1u);
  EXPECT_NE(wrong_shape.problems[0].find("F32 [2]"), std::string::npos);

  const QuantizePlan nothing = plan_of("v2_11/resnet", "int8", "");
  ASSERT_EQ(nothing.problems.size(), 1u);
  EXPECT_NE(nothing.problems[0].find("--calib"), std::string::npos);

  const QuantizePlan no_format = plan_of("v2_11/vit", "mxfp8", "");
  EXPECT_TRUE(std::any_of(
      no_format.problems.begin(), no_format.problems.end(), [](const std::string& problem) {
        return problem.find("cannot be stored in a .pt2") != std::string::npos &&
               problem.find("int8_wo") != std::string::npos;
      }));
}

TEST(Programs, DataIsCutIntoTheProgramsBatches) {
  const ScratchFolder folder;
  const std::string data = (folder.path() / "data.safetensors").string();
  Model model = Model::open(golden("v2_11/resnet.pt2").string());
  const Tensor one = golden_call("v2_11/resnet").inputs.at("x");
  std::vector<float> values;
  for (int copy = 0; copy < 3; ++copy)
    values.insert(values.end(), one.values<float>().begin(), one.values<float>().end());
  std::vector<int64_t> shape = one.shape();
  shape[0] *= 3;
  save_tensors(data, {{"x", Tensor::of(values, shape)}});
  EXPECT_EQ(load_batches(data, model).size(), 3u);
  EXPECT_EQ(load_batches(data, model, one.shape()[0]).size(), 1u);
  EXPECT_EQ(load_batches(data, model)[2].at("x").shape(), one.shape());
}

/// Queries have the first rows of this weight, keys and values of another tensor the others.
TEST(Programs, AWeightThatLayersHaveRowsOfIsOneTensorOfThePlan) {
  const QuantizePlan plan = plan_of("v2_11/detr", "int8_wo", "");
  EXPECT_TRUE(plan.problems.empty());
  EXPECT_TRUE(plan.left_alone.empty());
  const auto row =
      std::find_if(plan.tensors.begin(), plan.tensors.end(), [](const QuantizePlan::Row& tensor) {
        return tensor.name == "transformer.decoder.layers.0.multihead_attn.in_proj_weight";
      });
  ASSERT_NE(row, plan.tensors.end());
  EXPECT_EQ(row->action, "quantize");
  EXPECT_EQ(row->shape, (std::vector<int64_t>{24, 8}));
}

TEST(Programs, ProbabilitiesOfAttentionAreRefused) {
  Model model = Model::open(golden("v2_11/vit.pt2").string());
  const QuantizeConfig config = QuantizeConfig::from_text(R"(
quant_cfg:
  - {quantizer_name: "*", enable: false}
  - {quantizer_name: "*bmm_quantizer", cfg: {format: fp8}}
)");
  try {
    quantize(model, config, [](Model&) {});
    FAIL() << "nothing was thrown";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("p_bmm_quantizer: attention is one operator"),
              std::string::npos)
        << error.what();
  }
}

TEST(Programs, WhatCannotBeQuantizedIsListed) {
  const QuantizePlan plan = plan_of("v2_11/lstm", "int8_wo", "");
  EXPECT_TRUE(std::any_of(plan.left_alone.begin(), plan.left_alone.end(), [](const auto& line) {
    return line.find("LSTM is not quantized") != std::string::npos;
  }));
}

}  // namespace
}  // namespace lathe
