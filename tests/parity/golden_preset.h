#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lathe/lathe.h"

namespace lathe::parity {

/// A preset of tests/golden/modelopt/llama, and how Lathe is asked for the same.
struct GoldenPreset {
  std::string folder;    // "FP8_DEFAULT_CFG+FP8_KV_CFG"
  std::string preset;    // "FP8_DEFAULT_CFG"
  std::string kv_cache;  // "fp8"
};

/// Those that need no search but the choice of four-over-six.
std::vector<GoldenPreset> golden_presets();
/// Those that the peer can export.
std::vector<GoldenPreset> exported_presets();

/// The peer's amax of each quantizer, by its name; of those that choose scales for their blocks
/// that of the tensor.
NamedTensors golden_amax(const GoldenPreset& preset);

std::filesystem::path golden_folder();
/// Tensors of a golden file.
NamedTensors golden_tensors(const std::string& file);

/// Runs the golden calibration data: 4 batches of 4.
void calibration_loop(Model& model);

/// The base model, quantized as the preset says, scales not shared (as the peer leaves FP8's).
Model quantized_model(const GoldenPreset& preset, bool fuse_scales = false);

/// A value of a float tensor (bfloat16 or float32) as float.
std::vector<float> floats(const Tensor& tensor);

/// A folder of this process for outputs, emptied; in memory where it can be: exports are synced to
/// the disk, and there are a thousand of them.
std::filesystem::path scratch_folder(const std::string& name);

/// How tests show a preset's name.
inline std::string preset_name(const GoldenPreset& preset) {
  std::string name = preset.folder;
  for (char& c : name) c = c == '+' ? '_' : c;
  return name;
}

}  // namespace lathe::parity
