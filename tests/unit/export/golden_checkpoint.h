#pragma once

#include <filesystem>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "export/hf_checkpoint/checkpoint_exporter.h"
#include "io/safetensors_reader.h"
#include "ir/model.h"

namespace lathe::testing {

/// How a preset's golden codes differ from ours.
enum class CodeDifference {
  kNone,
  kBf16Division,  // FP8 divided in bfloat16: some codes are a step off the nearest
  kTiesDown,      // MXFP4: ties down, zero is -0
  kOtherWeights,  // the algorithm changed the weights: their codes are not compared
};

/// A preset that nvidia-modelopt exported.
struct GoldenPreset {
  std::string model;  // "llama"
  std::string name;   // "FP8_DEFAULT_CFG"
  formats::Format weight;
  std::optional<formats::Format> input;
  bool input_dynamic = false;
  std::optional<formats::Format> kv;
  CodeDifference difference = CodeDifference::kNone;
};
void PrintTo(const GoldenPreset& preset, std::ostream* stream);
const std::vector<GoldenPreset>& golden_presets();

/// The folder of golden data that lies beside the repository; fails the test if it is missing.
std::filesystem::path golden_folder(const std::string& model);

/// The base model of golden exports, as its checkpoint has it.
ir::Model load_base(const std::string& model);

/// What the preset asked for, with pre_quant_scale where the golden export has one.
exporting::QuantizationScheme golden_scheme(const GoldenPreset& preset, const ir::Model& model,
                                            const io::SafetensorsCheckpoint& golden);

/// The scales of the golden export.
exporting::LayerValues golden_values(const exporting::PlannedLayer& layer,
                                     const io::SafetensorsCheckpoint& golden);
float golden_scalar(const io::SafetensorsCheckpoint& golden, const std::string& name);

}  // namespace lathe::testing
