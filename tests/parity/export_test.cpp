#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string_view>

#include "parity/golden_preset.h"

namespace lathe::parity {
namespace {

class Export : public testing::TestWithParam<GoldenPreset> {};

/// The model with the peer's amax in place of our own, exported.
NamedTensors exported_with_golden_amax(const GoldenPreset& preset) {
  Model model = quantized_model(preset);
  NamedTensors amax;
  for (const auto& [name, tensor] : golden_amax(preset)) {
    for (const std::string& own : own_names(preset, name)) amax.emplace(own, tensor);
  }
  load_amax(model, amax);
  const auto folder = scratch_folder(preset_name(preset));
  export_checkpoint(model, folder.string());
  NamedTensors tensors = load_tensors((folder / "model.safetensors").string());
  std::filesystem::remove_all(folder);
  return tensors;
}

NamedTensors golden_export(const GoldenPreset& preset) {
  return load_tensors((preset.folder() / "export/model.safetensors").string());
}

int64_t ulps(float a, float b) {
  return std::abs(static_cast<int64_t>(std::bit_cast<int32_t>(a)) - std::bit_cast<int32_t>(b));
}

int64_t different_bytes(const Tensor& a, const Tensor& b) {
  const auto* x = static_cast<const uint8_t*>(a.data());
  const auto* y = static_cast<const uint8_t*>(b.data());
  int64_t count = 0;
  for (size_t i = 0; i < a.bytes(); ++i) count += x[i] != y[i];
  return count;
}

/// Codes that Lathe means to be others than the peer's.
struct IntendedDifference {
  std::string_view preset;  // part of its name
  DType dtype;              // of the tensors
  double share;             // of their bytes that may differ, at most
  std::string_view reason;
};

constexpr std::array kIntended = {
    // tests/unit/export/golden_export_test.cpp shows that ours are never farther from the weight.
    IntendedDifference{"FP8_DEFAULT_CFG", DType::kF8E4M3, 0.05,
                       "the nearest code; the peer divides in bfloat16 and rounds again"},
    IntendedDifference{"MXFP4", DType::kU8, 0.05,
                       "ties to even and zeros +0; the peer rounds ties down, its zeros are -0"},
    IntendedDifference{"FOUR_OVER_SIX", DType::kU8, 0.02,
                       "scales are rounded twice: a few lie on the other side of a tie"},
    IntendedDifference{"FOUR_OVER_SIX", DType::kF8E4M3, 0.02, "the same"},
};

const IntendedDifference* intended(const GoldenPreset& preset, const Tensor& tensor) {
  const auto found = std::ranges::find_if(kIntended, [&](const IntendedDifference& row) {
    return preset.preset.find(row.preset) != std::string::npos && row.dtype == tensor.dtype();
  });
  return found == kIntended.end() ? nullptr : &*found;
}

/// A weight whose scales are all the peer's, to the last bit. Where one is 1 ulp off (the peer
/// multiplies by a rounded reciprocal, Lathe divides), values on the edge between two codes may
/// take the other one.
bool has_equal_scales(const std::string& weight, const NamedTensors& ours,
                      const NamedTensors& golden) {
  for (const char* suffix : {"_scale", "_scale_2"}) {
    const auto scale = golden.find(weight + suffix);
    if (scale == golden.end()) continue;
    if (different_bytes(ours.at(weight + suffix), scale->second) > 0) return false;
  }
  return true;
}

constexpr double kCodesOnTheEdge = 0.01;

/// Same names, dtypes and shapes; float32 scales within 1 ulp; codes equal where scales are.
TEST_P(Export, EqualsThePeers) {
  const NamedTensors ours = exported_with_golden_amax(GetParam());
  const NamedTensors golden = golden_export(GetParam());
  for (const auto& [name, tensor] : ours)
    EXPECT_TRUE(golden.contains(name)) << name << " is not the peer's";
  for (const auto& [name, tensor] : golden) {
    ASSERT_TRUE(ours.contains(name)) << name;
    const Tensor& own = ours.at(name);
    ASSERT_EQ(own.dtype(), tensor.dtype()) << name;
    ASSERT_EQ(own.shape(), tensor.shape()) << name;
    if (tensor.dtype() == DType::kF32) {
      const std::vector<float> a = floats(own);
      const std::vector<float> b = floats(tensor);
      for (size_t i = 0; i < a.size(); ++i)
        ASSERT_LE(ulps(a[i], b[i]), 1) << name << ": " << a[i] << " " << b[i];
    } else {
      const IntendedDifference* row = intended(GetParam(), tensor);
      const double edge = has_equal_scales(name, ours, golden) ? 0 : kCodesOnTheEdge;
      const double most = row == nullptr ? edge : std::max(edge, row->share);
      EXPECT_LE(static_cast<double>(different_bytes(own, tensor)),
                most * static_cast<double>(tensor.bytes()))
          << name;
    }
  }
}

/// A row that no export needs any more does not belong into the table.
TEST(IntendedDifferences, AreThere) {
  std::array<int64_t, kIntended.size()> different{};
  for (const GoldenPreset& preset : exported_presets()) {
    const NamedTensors ours = exported_with_golden_amax(preset);
    for (const auto& [name, tensor] : golden_export(preset)) {
      const IntendedDifference* row = intended(preset, tensor);
      if (row != nullptr)
        different.at(static_cast<size_t>(row - kIntended.data())) +=
            different_bytes(ours.at(name), tensor);
    }
  }
  for (size_t i = 0; i < kIntended.size(); ++i)
    EXPECT_GT(different.at(i), 0) << kIntended.at(i).preset << ": " << kIntended.at(i).reason;
}

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

/// The text with the producer's name and version, which are ours, taken out.
std::string without_producer(std::string text) {
  const size_t begin = text.find("\"producer\"");
  if (begin == std::string::npos) return text;
  return text.erase(begin, text.find('}', begin) + 1 - begin);
}

/// config.json and hf_quant_config.json are the peer's, key for key.
TEST_P(Export, WritesThePeersJson) {
  Model model = quantized_model(GetParam());
  const auto folder = scratch_folder(preset_name(GetParam()) + "-json");
  export_checkpoint(model, folder.string());
  for (const char* file : {"config.json", "hf_quant_config.json"}) {
    std::string ours = without_producer(text_of(folder / file));
    std::string golden = without_producer(text_of(GetParam().folder() / "export" / file));
    std::erase_if(ours, [](char c) { return std::isspace(static_cast<unsigned char>(c)); });
    std::erase_if(golden, [](char c) { return std::isspace(static_cast<unsigned char>(c)); });
    EXPECT_EQ(ours, golden) << file;
  }
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Presets, Export, testing::ValuesIn(exported_presets()),
                         [](const auto& info) { return preset_name(info.param); });

/// One weight scale for q/k/v and for gate/up, unless it is asked not to.
TEST(FusedScales, AreSharedByDefaultAndSeparateOnRequest) {
  for (const bool fuse : {true, false}) {
    Model model = quantized_model({"llama", "FP8_DEFAULT_CFG", ""}, fuse);
    const auto folder = scratch_folder("fused");
    export_checkpoint(model, folder.string());
    const NamedTensors tensors = load_tensors((folder / "model.safetensors").string());
    const auto scale = [&](const std::string& name) {
      return floats(tensors.at("model.layers.1." + name + ".weight_scale"))[0];
    };
    const bool equal = scale("self_attn.q_proj") == scale("self_attn.k_proj") &&
                       scale("self_attn.k_proj") == scale("self_attn.v_proj") &&
                       scale("mlp.gate_proj") == scale("mlp.up_proj");
    EXPECT_EQ(equal, fuse);
    std::filesystem::remove_all(folder);
  }
}

}  // namespace
}  // namespace lathe::parity
