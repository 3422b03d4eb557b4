#include "export/targets/written_checkpoint.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "base/float16.h"
#include "export/targets/written_config.h"
#include "io/json.h"
#include "io/safetensors_reader.h"

namespace lathe::exporting {
namespace {

namespace fs = std::filesystem;
using io::TensorEntry;
using Shape = std::vector<int64_t>;

constexpr std::string_view kScale = ".weight_scale";

std::optional<float> scalar(const TensorEntry& tensor) {
  if (checked_numel(tensor.shape) != 1) return std::nullopt;
  const std::byte* data = tensor.data().data();
  uint16_t half = 0;
  float value = 0;
  switch (tensor.dtype) {
    case DType::kF32:
      std::memcpy(&value, data, sizeof(value));
      return value;
    case DType::kBF16:
      std::memcpy(&half, data, sizeof(half));
      return float_from_bf16(half);
    case DType::kF16:
      std::memcpy(&half, data, sizeof(half));
      return float_from_f16(half);
    default:
      return std::nullopt;
  }
}

/// The tensors of one quantized module, read without a plan.
class ModuleCheck {
 public:
  ModuleCheck(const io::SafetensorsCheckpoint& checkpoint, const std::string& path, bool compressed)
      : checkpoint_(checkpoint), path_(path), compressed_(compressed) {}

  std::string problem() const {
    const TensorEntry* packed = find("weight_packed");
    const TensorEntry* weight = packed != nullptr ? packed : find("weight");
    if (weight == nullptr || weight->shape.size() != 2) return "there is no weight [N, K]";
    if (compressed_ && find("pre_quant_scale") != nullptr)
      return "compressed-tensors has no pre_quant_scale";
    for (const char* name :
         {"weight_scale_2", "weight_global_scale", "input_scale", "input_global_scale"}) {
      const TensorEntry* tensor = find(name);
      if (tensor == nullptr) continue;
      const std::optional<float> value = scalar(*tensor);
      if (!value || !std::isfinite(*value) || *value <= 0)
        return fmt::format("{} is no finite number above 0", name);
      if (tensor->shape != (compressed_ ? Shape{1} : Shape{}))
        return fmt::format("{} has the wrong shape", name);
    }
    return scale_fits(*weight) ? "" : "weight_scale does not fit the weight";
  }

 private:
  const TensorEntry* find(const char* name) const { return checkpoint_.find(path_ + "." + name); }

  bool scale_fits(const TensorEntry& weight) const {
    const TensorEntry& scale = checkpoint_.at(path_ + std::string(kScale));
    switch (weight.dtype) {
      case DType::kI32:
        return find("weight_shape") != nullptr && grid_fits(scale, weight.shape[0]);
      case DType::kU8:
        return packed_bytes_fit(weight, scale);
      case DType::kI8:
        return row_scale_fits(weight, scale) || microscales_fit(weight, scale);
      case DType::kF8E4M3:
        return scale.dtype == DType::kU8
                   ? microscales_fit(weight, scale)
                   : row_scale_fits(weight, scale) || blocks_fit(weight, scale);
      default:
        return false;
    }
  }

  /// 4- and 6-bit floats, and modelopt's pairs of INT4 rows.
  bool packed_bytes_fit(const TensorEntry& weight, const TensorEntry& scale) const {
    if (scale.dtype == DType::kF32) return !compressed_ && grid_fits(scale, 2 * weight.shape[0]);
    const bool two_level = scale.dtype == DType::kF8E4M3;
    const char* global = compressed_ ? "weight_global_scale" : "weight_scale_2";
    if (two_level != (find(global) != nullptr)) return false;
    if (!grid_fits(scale, weight.shape[0])) return false;
    const int64_t bits = 8 * weight.shape[1] / scale.shape[1];  // of a block
    return bits == 16 * 4 || bits == 32 * 4 || bits == 32 * 6;
  }

  static bool grid_fits(const TensorEntry& scale, int64_t rows) {
    return scale.shape.size() == 2 && scale.shape[0] == rows && scale.shape[1] > 0;
  }

  static bool microscales_fit(const TensorEntry& weight, const TensorEntry& scale) {
    return scale.dtype == DType::kU8 &&
           scale.shape == Shape{weight.shape[0], ceil_div(weight.shape[1], 32)};
  }

  bool row_scale_fits(const TensorEntry& weight, const TensorEntry& scale) const {
    const int64_t rows = weight.shape[0];
    if (compressed_) return scale.shape == Shape{1} || scale.shape == Shape{rows, 1};
    return scale.shape.empty() || scale.shape == Shape{rows};
  }

  bool blocks_fit(const TensorEntry& weight, const TensorEntry& scale) const {
    const int64_t rows = ceil_div(weight.shape[0], 128);
    const int64_t cols = ceil_div(weight.shape[1], 128);
    return scale.shape == (compressed_ ? Shape{rows, cols} : Shape{rows, 1, cols, 1});
  }

  const io::SafetensorsCheckpoint& checkpoint_;
  const std::string& path_;
  bool compressed_;
};

constexpr std::string_view kFusedScale = "_weight_scale";
constexpr std::string_view kBlocks = "_blocks";

/// What is wrong with tensors that hold all experts of a layer.
void check_fused_experts(const io::SafetensorsCheckpoint& checkpoint,
                         std::vector<std::string>& problems) {
  for (const TensorEntry& tensor : checkpoint.tensors()) {
    const bool blocks = tensor.name.ends_with(kBlocks) && tensor.shape.size() == 4;
    if (!blocks && !tensor.name.ends_with(kFusedScale)) continue;
    const std::string path =
        tensor.name.substr(0, tensor.name.size() - (blocks ? kBlocks : kFusedScale).size());
    const TensorEntry* weight = blocks ? &tensor : checkpoint.find(path);
    const TensorEntry* scale = blocks ? checkpoint.find(path + "_scales") : &tensor;
    if (weight == nullptr || scale == nullptr) {
      problems.push_back(path + ": codes without scales, or scales without codes");
    } else if (blocks ? scale->shape != Shape(weight->shape.begin(), weight->shape.end() - 1)
                      : weight->shape.size() != 3 ||
                            (!scale->shape.empty() && scale->shape[0] != weight->shape[0])) {
      problems.push_back(path + ": the scales do not fit the experts' weights");
    }
  }
}

std::vector<std::string> quantized_modules(const io::SafetensorsCheckpoint& checkpoint) {
  std::vector<std::string> paths;
  for (const TensorEntry& tensor : checkpoint.tensors()) {
    if (tensor.name.ends_with(kScale))
      paths.push_back(tensor.name.substr(0, tensor.name.size() - kScale.size()));
  }
  return paths;
}

/// Engines take one of these scales for the whole of a fused layer.
void check_fused_scales(const io::SafetensorsCheckpoint& checkpoint,
                        const std::vector<std::string>& paths, std::vector<std::string>& problems) {
  for (const std::vector<std::string>& group : fused_modules(paths)) {
    for (const char* name :
         {"weight_scale_2", "weight_global_scale", "input_scale", "input_global_scale"}) {
      const TensorEntry* first = checkpoint.find(group.front() + "." + name);
      for (const std::string& path : group) {
        const TensorEntry* other = checkpoint.find(path + "." + name);
        const bool both = first != nullptr && other != nullptr;
        const bool equal = both ? scalar(*first) == scalar(*other) : first == other;
        if (!equal)
          problems.push_back(
              fmt::format("{}.{} is not equal to that of {}", path, name, group.front()));
      }
    }
  }
}

nlohmann::json json_file(const fs::path& path) {
  return fs::exists(path) ? io::read_json(path, io::DuplicateKeys::kLastWins) : nlohmann::json();
}

}  // namespace

std::vector<std::string> written_problems(const io::SafetensorsCheckpoint& checkpoint,
                                          std::string_view dialect, Target target) {
  const fs::path& folder = checkpoint.path();
  const nlohmann::json config = json_file(folder / "config.json");
  if (!config.is_object() || !config.contains("quantization_config")) return {};
  const nlohmann::json& section = config["quantization_config"];
  const bool compressed = dialect == "compressed-tensors";
  std::vector<std::string> problems;
  check_fused_experts(checkpoint, problems);
  if (dialect == "mxfp4") return problems;
  for (std::string& problem :
       compressed ? compressed_config_problems(section, target)
                  : modelopt_config_problems(section, json_file(folder / "hf_quant_config.json")))
    problems.push_back(std::move(problem));
  const std::vector<std::string> paths = quantized_modules(checkpoint);
  for (const std::string& path : paths) {
    const std::string problem = ModuleCheck(checkpoint, path, compressed).problem();
    if (!problem.empty()) problems.push_back(path + ": " + problem);
  }
  if (fuses_layers(target)) check_fused_scales(checkpoint, paths, problems);
  return problems;
}

void check_written(const io::SafetensorsCheckpoint& checkpoint, std::string_view dialect,
                   Target target) {
  const std::vector<std::string> problems = written_problems(checkpoint, dialect, target);
  if (problems.empty()) return;
  std::string text =
      fmt::format("{}: {} would not load it:", checkpoint.path().string(), target_title(target));
  for (const std::string& problem : problems) text += "\n  - " + problem;
  throw DataError(std::move(text));
}

}  // namespace lathe::exporting
