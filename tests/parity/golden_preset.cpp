#include "parity/golden_preset.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <regex>
#include <stdexcept>

namespace lathe::parity {

namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

fs::path models_folder() { return fs::path(LATHE_GOLDEN_DIR) / "modelopt"; }

bool needs_a_search(const GoldenPreset& preset) {
  const std::string algorithm = QuantizeConfig::from_preset(preset.preset).algorithm();
  return algorithm != "max" && algorithm != "none" && preset.preset != "NVFP4_FOUR_OVER_SIX_CFG";
}

size_t expert_count(const GoldenPreset& preset, const std::string& experts) {
  const std::vector<ModuleInfo> modules =
      Model::open((golden_folder(preset.model) / "base").string()).modules();
  return static_cast<size_t>(std::ranges::count_if(modules, [&](const ModuleInfo& module) {
    return module.path.starts_with(experts) && module.path.ends_with(".down_proj");
  }));
}

}  // namespace

fs::path GoldenPreset::folder() const { return golden_folder(model) / name(); }

std::vector<GoldenPreset> all_golden_presets() {
  std::vector<GoldenPreset> presets;
  for (const std::string& model : folders_in(models_folder())) {
    for (const std::string& name : folders_in(models_folder() / model)) {
      if (name == "base") continue;
      const size_t plus = std::min(name.find('+'), name.size());
      presets.push_back(
          {model, name.substr(0, plus), name.substr(std::min(plus + 1, name.size()))});
    }
  }
  return presets;
}

std::vector<GoldenPreset> golden_presets() {
  std::vector<GoldenPreset> presets = all_golden_presets();
  std::erase_if(presets, needs_a_search);
  return presets;
}

std::vector<GoldenPreset> exported_presets() {
  std::vector<GoldenPreset> presets = golden_presets();
  std::erase_if(presets,
                [](const GoldenPreset& preset) { return !fs::exists(preset.folder() / "export"); });
  return presets;
}

std::vector<std::string> own_names(const GoldenPreset& preset, const std::string& name) {
  static const std::regex kInput(R"((.*\.experts\.)(gate_up|down)_proj_input_quantizer)");
  static const std::regex kWeight(R"((.*\.experts\.)(gate_up|down)_proj_weight_quantizers\.(\d+))");
  std::smatch parts;
  const bool input = std::regex_match(name, parts, kInput);
  if (!input && !std::regex_match(name, parts, kWeight)) return {name};
  std::vector<std::string> projections = {parts[2]};
  if (parts[2] == "gate_up") projections = {"gate", "up"};
  const size_t first = input ? 0 : std::stoul(parts[3]);
  const size_t end = input ? expert_count(preset, parts[1]) : first + 1;
  std::vector<std::string> names;
  for (size_t expert = first; expert < end; ++expert) {
    for (const std::string& projection : projections)
      names.push_back(parts[1].str() + std::to_string(expert) + "." + projection + "_proj." +
                      (input ? "input_quantizer" : "weight_quantizer"));
  }
  return names;
}

NamedTensors golden_amax(const GoldenPreset& preset) {
  constexpr std::string_view kAmax = "._amax";
  constexpr std::string_view kGlobalAmax = "._global_amax";
  const NamedTensors state =
      load_tensors((preset.folder() / "quantizer_state.safetensors").string());
  NamedTensors amax;
  for (const auto& [name, tensor] : state) {
    if (name.ends_with(kAmax)) amax.emplace(name.substr(0, name.size() - kAmax.size()), tensor);
  }
  for (const auto& [name, tensor] : state) {
    if (name.ends_with(kGlobalAmax))
      amax.at(name.substr(0, name.size() - kGlobalAmax.size())) = tensor;
  }
  return amax;
}

fs::path golden_folder(const std::string& model) { return models_folder() / model; }

NamedTensors golden_tensors(const std::string& model, const std::string& file) {
  return load_tensors((golden_folder(model) / file).string());
}

void calibrate(Model& model, const GoldenPreset& preset) {
  const Tensor ids = golden_tensors(preset.model, "calib.safetensors").at("input_ids");
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
  Model model = Model::open((golden_folder(preset.model) / "base").string());
  QuantizeConfig config = QuantizeConfig::from_preset(preset.preset);
  if (!preset.kv_cache.empty()) config.add_kv_cache(preset.kv_cache);
  const auto loop = [&](Model& observed) { calibrate(observed, preset); };
  quantize(model, config, loop, {.fuse_scales = fuse_scales});
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
