#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lathe/lathe.h"

namespace lathe::parity {

/// A preset of tests/golden/modelopt, and how Lathe is asked for the same.
struct GoldenPreset {
  std::string model;     // "llama"
  std::string preset;    // "FP8_DEFAULT_CFG"
  std::string kv_cache;  // "FP8_KV_CFG"

  std::string name() const { return kv_cache.empty() ? preset : preset + "+" + kv_cache; }
  /// Where what the peer made of it lies.
  std::filesystem::path folder() const;
};

/// All that lie there.
std::vector<GoldenPreset> all_golden_presets();
/// Those that need no algorithm but max, and the choice of four-over-six.
std::vector<GoldenPreset> golden_presets();
/// Those of them that the peer can export.
std::vector<GoldenPreset> exported_presets();

/// The quantizers of Lathe that one of the peer stands for: itself, or, where the peer has the
/// experts of a layer in one module, those of each expert's projections.
std::vector<std::string> own_names(const GoldenPreset& preset, const std::string& name);

/// The peer's amax of each quantizer, by the peer's name; of those that choose scales for their
/// blocks that of the tensor.
NamedTensors golden_amax(const GoldenPreset& preset);

/// What the peer was run on: base, calib.safetensors, eval.safetensors.
std::filesystem::path golden_folder(const std::string& model);
/// Tensors of one of these files.
NamedTensors golden_tensors(const std::string& model, const std::string& file);

/// Runs the golden calibration data: 4 batches of 4.
void calibrate(Model& model, const GoldenPreset& preset);

/// The base model, quantized as the preset says, scales not shared (as the peer leaves FP8's).
Model quantized_model(const GoldenPreset& preset, bool fuse_scales = false);

/// A value of a float tensor (bfloat16 or float32) as float.
std::vector<float> floats(const Tensor& tensor);

/// A folder of this process for outputs, emptied; in memory where it can be: exports are synced to
/// the disk, and there are a thousand of them.
std::filesystem::path scratch_folder(const std::string& name);

/// How tests show a preset's name.
inline std::string preset_name(const GoldenPreset& preset) {
  std::string name = preset.model + "_" + preset.name();
  for (char& c : name) c = c == '+' ? '_' : c;
  return name;
}

}  // namespace lathe::parity
