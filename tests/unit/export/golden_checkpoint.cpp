#include "unit/export/golden_checkpoint.h"

#include <ATen/ops/empty.h>

#include <cstring>

#include "base/error.h"
#include "io/json.h"
#include "ir/scalar_types.h"
#include "unit/export/model_tree.h"
#include "unit/export/tiny_model.h"

namespace lathe::testing {
namespace {

namespace fs = std::filesystem;
using formats::kFp8;
using formats::kFp8PerChannel;
using formats::kNvfp4;

at::Tensor copy_of(const io::TensorEntry& entry) {
  at::Tensor tensor = at::empty(entry.shape, ir::to_scalar_type(entry.dtype));
  std::memcpy(tensor.mutable_data_ptr(), entry.data().data(), entry.bytes);
  return tensor;
}

template <typename T>
std::vector<T> values_of(const io::TensorEntry& entry) {
  std::vector<T> values(entry.bytes / sizeof(T));
  std::memcpy(values.data(), entry.data().data(), entry.bytes);
  return values;
}

/// "model.layers.0.self_attn" of each attention.
std::vector<std::string> attention_paths(const ir::Model& model) {
  std::vector<std::string> paths;
  for (const std::string& path : projection_paths(model)) {
    if (path.ends_with(".k_proj")) paths.push_back(path.substr(0, path.size() - 7));
  }
  return paths;
}

}  // namespace

void PrintTo(const GoldenPreset& preset, std::ostream* stream) {
  *stream << preset.model << "/" << preset.name;
}

const std::vector<GoldenPreset>& golden_presets() {
  using enum CodeDifference;
  static const std::vector<GoldenPreset> presets = {
      {"llama", "FP8_DEFAULT_CFG", kFp8, kFp8, false, {}, kBf16Division},
      {"llama", "FP8_DEFAULT_CFG+FP8_KV_CFG", kFp8, kFp8, false, kFp8, kBf16Division},
      {"llama", "FP8_PER_CHANNEL_PER_TOKEN_CFG", kFp8PerChannel, kFp8PerChannel, true, {}, kNone},
      {"llama", "FP8_2D_BLOCKWISE_WEIGHT_ONLY_CFG", formats::kFp8Block2d, {}, false, {}, kNone},
      {"llama",
       "INT8_DEFAULT_CFG",
       formats::kInt8PerChannel,
       formats::kInt8PerTensor,
       false,
       {},
       kNone},
      {"llama",
       "INT8_SMOOTHQUANT_CFG",
       formats::kInt8PerChannel,
       formats::kInt8PerTensor,
       false,
       {},
       kOtherWeights},
      {"llama", "INT8_WEIGHT_ONLY_CFG", formats::kInt8PerChannel, {}, false, {}, kNone},
      {"llama", "INT4_BLOCKWISE_WEIGHT_ONLY_CFG", formats::kInt4Block, {}, false, {}, kNone},
      {"llama", "INT4_AWQ_CFG", formats::kInt4Block, {}, false, {}, kOtherWeights},
      {"llama", "NVFP4_DEFAULT_CFG", kNvfp4, kNvfp4, false, {}, kNone},
      {"llama", "NVFP4_DEFAULT_CFG+NVFP4_KV_CFG", kNvfp4, kNvfp4, false, kNvfp4, kNone},
      {"llama", "NVFP4_FOUR_OVER_SIX_CFG", formats::kNvfp4FourOverSix, kNvfp4, false, {}, kNone},
      {"llama", "NVFP4_W4A4_WEIGHT_MSE_FP8_SWEEP_CFG", kNvfp4, kNvfp4, false, {}, kNone},
      {"llama", "NVFP4_AWQ_LITE_CFG", kNvfp4, kNvfp4, false, {}, kOtherWeights},
      {"llama", "NVFP4_AWQ_CLIP_CFG", kNvfp4, kNvfp4, false, {}, kOtherWeights},
      {"llama", "NVFP4_AWQ_FULL_CFG", kNvfp4, kNvfp4, false, {}, kOtherWeights},
      {"llama", "W4A16_NVFP4_CFG", kNvfp4, {}, false, {}, kNone},
      {"llama", "W4A8_NVFP4_FP8_CFG", formats::kNvfp4Block32, kFp8, false, {}, kNone},
      {"llama", "MXFP8_DEFAULT_CFG", formats::kMxfp8, formats::kMxfp8, true, {}, kNone},
      {"llama", "MXFP4_DEFAULT_CFG", formats::kMxfp4, formats::kMxfp4, true, {}, kTiesDown},
      {"llama", "W4A8_MXFP4_FP8_CFG", formats::kMxfp4, kFp8, true, {}, kTiesDown},
      {"qwen3_moe", "FP8_DEFAULT_CFG", kFp8, kFp8, false, {}, kBf16Division},
      {"qwen3_moe", "NVFP4_DEFAULT_CFG", kNvfp4, kNvfp4, false, {}, kNone},
  };
  return presets;
}

fs::path golden_folder(const std::string& model) {
  return fs::path(LATHE_GOLDEN_DIR) / "modelopt" / model;
}

ir::Model load_base(const std::string& name) {
  const fs::path folder = golden_folder(name) / "base";
  ir::Model model;
  model.source = folder.string();
  model.root = ir::make_module("Model");
  model.config = io::read_ordered_json(folder / "config.json");
  const auto checkpoint = io::SafetensorsCheckpoint::open(folder);
  for (const io::TensorEntry& entry : checkpoint.tensors()) {
    put_tensor(model, entry.name, std::make_shared<ir::Parameter>(copy_of(entry)));
  }
  if (model.config["tie_word_embeddings"] == true) {
    put_parameter(*model.root, "lm_head.weight",
                  model.root->find_parameter("model.embed_tokens.weight"));
    model.tied = {{"lm_head.weight", "model.embed_tokens.weight"}};
  }
  return model;
}

exporting::QuantizationScheme golden_scheme(const GoldenPreset& preset, const ir::Model& model,
                                            const io::SafetensorsCheckpoint& golden) {
  auto scheme = uniform_scheme(model, preset.weight, preset.input, preset.input_dynamic);
  for (exporting::LayerScheme& layer : scheme.layers) {
    layer.pre_quant_scale = golden.find(layer.path + ".pre_quant_scale") != nullptr;
  }
  for (const std::string& attention : attention_paths(model)) {
    const std::string router = attention.substr(0, attention.rfind('.')) + ".mlp.gate";
    if (model.root->find(router)) scheme.unquantized.push_back(router);
    if (!preset.kv) continue;
    scheme.kv.push_back({attention + ".k_proj", attention + ".v_proj", *preset.kv});
  }
  return scheme;
}

float golden_scalar(const io::SafetensorsCheckpoint& golden, const std::string& name) {
  return values_of<float>(golden.at(name)).at(0);
}

exporting::LayerValues golden_values(const exporting::PlannedLayer& layer,
                                     const io::SafetensorsCheckpoint& golden) {
  const std::string& path = layer.scheme.path;
  exporting::LayerValues values;
  values.weight_scales.kind = layer.scheme.weight.scale;
  const io::TensorEntry& scale = golden.at(path + ".weight_scale");
  if (layer.scheme.weight.scale == formats::ScaleKind::kFloat32) {
    values.weight_scales.values = values_of<float>(scale);
  } else {
    values.weight_scales.codes = values_of<uint8_t>(scale);
  }
  if (layer.storage.find(exporting::LayerPart::kGlobalScale) != nullptr) {
    values.weight_scales.global_scale = golden_scalar(golden, path + ".weight_scale_2");
  }
  if (layer.storage.find(exporting::LayerPart::kInputScale) != nullptr) {
    values.input_scale = golden_scalar(golden, path + ".input_scale");
  }
  if (layer.scheme.pre_quant_scale) {
    values.pre_quant_scale = copy_of(golden.at(path + ".pre_quant_scale"));
  }
  return values;
}

}  // namespace lathe::testing
