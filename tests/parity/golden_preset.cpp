#include "parity/golden_preset.h"

#include <unistd.h>

#include <bit>
#include <cstring>
#include <stdexcept>

namespace lathe::parity {

std::vector<GoldenPreset> golden_presets() {
  return {
      {"FP8_DEFAULT_CFG", "FP8_DEFAULT_CFG", ""},
      {"FP8_DEFAULT_CFG+FP8_KV_CFG", "FP8_DEFAULT_CFG", "fp8"},
      {"INT8_DEFAULT_CFG", "INT8_DEFAULT_CFG", ""},
      {"INT8_WEIGHT_ONLY_CFG", "INT8_WEIGHT_ONLY_CFG", ""},
      {"INT4_BLOCKWISE_WEIGHT_ONLY_CFG", "INT4_BLOCKWISE_WEIGHT_ONLY_CFG", ""},
      {"NVFP4_DEFAULT_CFG", "NVFP4_DEFAULT_CFG", ""},
      {"NVFP4_DEFAULT_CFG+NVFP4_KV_CFG", "NVFP4_DEFAULT_CFG", "nvfp4"},
      {"W4A16_NVFP4_CFG", "W4A16_NVFP4_CFG", ""},
      {"FP8_PER_CHANNEL_PER_TOKEN_CFG", "FP8_PER_CHANNEL_PER_TOKEN_CFG", ""},
      {"FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG", "FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG", ""},
      {"NVFP4_FOUR_OVER_SIX_CFG", "NVFP4_FOUR_OVER_SIX_CFG", ""},
      {"W4A8_NVFP4_FP8_CFG", "W4A8_NVFP4_FP8_CFG", ""},
      {"MXFP8_DEFAULT_CFG", "MXFP8_DEFAULT_CFG", ""},
      {"MXFP4_DEFAULT_CFG", "MXFP4_DEFAULT_CFG", ""},
      {"W4A8_MXFP4_FP8_CFG", "W4A8_MXFP4_FP8_CFG", ""},
      {"MXFP6_DEFAULT_CFG", "MXFP6_DEFAULT_CFG", ""},
      {"MXINT8_DEFAULT_CFG", "MXINT8_DEFAULT_CFG", ""},
  };
}

std::vector<GoldenPreset> exported_presets() {
  std::vector<GoldenPreset> presets = golden_presets();
  std::erase_if(presets, [](const GoldenPreset& preset) {
    return !std::filesystem::exists(golden_folder() / preset.folder / "export");
  });
  return presets;
}

NamedTensors golden_amax(const GoldenPreset& preset) {
  constexpr std::string_view kAmax = "._amax";
  constexpr std::string_view kGlobalAmax = "._global_amax";
  NamedTensors amax;
  for (auto& [name, tensor] : golden_tensors(preset.folder + "/quantizer_state.safetensors")) {
    if (name.ends_with(kAmax)) amax.emplace(name.substr(0, name.size() - kAmax.size()), tensor);
  }
  for (auto& [name, tensor] : golden_tensors(preset.folder + "/quantizer_state.safetensors")) {
    if (name.ends_with(kGlobalAmax))
      amax.at(name.substr(0, name.size() - kGlobalAmax.size())) = tensor;
  }
  return amax;
}

std::filesystem::path golden_folder() {
  return std::filesystem::path(LATHE_GOLDEN_DIR) / "modelopt/llama";
}

NamedTensors golden_tensors(const std::string& file) {
  return load_tensors((golden_folder() / file).string());
}

void calibration_loop(Model& model) {
  const Tensor ids = golden_tensors("calib.safetensors").at("input_ids");
  const int64_t length = ids.shape()[1];
  std::vector<int64_t> values(static_cast<size_t>(ids.numel()));
  std::memcpy(values.data(), ids.data(), ids.bytes());
  for (int64_t first = 0; first < ids.shape()[0]; first += 4) {
    const auto begin = values.begin() + first * length;
    model(
        {{"input_ids", Tensor::of(std::vector<int64_t>(begin, begin + 4 * length), {4, length})}});
  }
}

Model quantized_model(const GoldenPreset& preset, bool fuse_scales) {
  set_threads(1);  // a tiny model: threads wait for each other more than they work
  Model model = Model::open((golden_folder() / "base").string());
  QuantizeConfig config = QuantizeConfig::from_preset(preset.preset);
  if (!preset.kv_cache.empty()) config.add_kv_cache(preset.kv_cache);
  quantize(model, config, calibration_loop, {.fuse_scales = fuse_scales});
  return model;
}

std::vector<float> floats(const Tensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.numel()));
  for (size_t i = 0; i < values.size(); ++i) {
    if (tensor.dtype() == DType::kBF16) {
      uint16_t bits = 0;
      std::memcpy(&bits, static_cast<const char*>(tensor.data()) + 2 * i, 2);
      values[i] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    } else if (tensor.dtype() == DType::kF32) {
      std::memcpy(&values[i], static_cast<const char*>(tensor.data()) + 4 * i, 4);
    } else {
      throw std::runtime_error("a golden tensor is neither float32 nor bfloat16");
    }
  }
  return values;
}

std::filesystem::path scratch_folder(const std::string& name) {
  const std::filesystem::path memory = "/dev/shm";
  const bool has_memory = ::access(memory.c_str(), W_OK | X_OK) == 0;
  const auto folder = (has_memory ? memory : std::filesystem::temp_directory_path()) /
                      ("lathe-parity-" + std::to_string(::getpid()) + "-" + name);
  std::filesystem::remove_all(folder);
  return folder;
}

}  // namespace lathe::parity
