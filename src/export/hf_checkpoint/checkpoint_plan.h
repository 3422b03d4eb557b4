#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "export/hf_checkpoint/books.h"
#include "export/hf_checkpoint/dialect.h"
#include "export/hf_checkpoint/planned_files.h"
#include "export/hf_checkpoint/planned_layer.h"
#include "export/hf_checkpoint/scheme.h"
#include "export/targets/target.h"
#include "io/checkpoint_layout.h"
#include "ir/model.h"

namespace lathe::exporting {

/// What an interrupted export continues after: a block of the model, or a module outside of blocks.
struct ExportUnit {
  std::string name;                  // "model.layers.3", "model.embed_tokens"
  std::vector<std::string> tensors;  // names in the checkpoint
};

/// Everything about a checkpoint but the values of its tensors: known before any work.
class CheckpointPlan {
 public:
  /// All that stands against such a checkpoint; empty if nothing does. Reads no weights.
  static std::vector<std::string> problems(const ir::Model& model, const QuantizationScheme& scheme,
                                           const ExportOptions& options);

  /// UserError that lists all problems. InternalError if a tensor of the source would be lost.
  static CheckpointPlan make(const ir::Model& model, const QuantizationScheme& scheme,
                             const ExportOptions& options);

  const io::CheckpointLayout& layout() const { return layout_; }
  /// In the order of the model, which is that of the tensors in the shards.
  const std::vector<ExportUnit>& units() const { return units_; }
  const std::vector<PlannedLayer>& layers() const { return layers_; }
  const std::vector<PlannedCache>& caches() const { return caches_; }
  /// By name, path, path of the module that makes the keys, tensor name; InternalError if there is
  /// none.
  const ExportUnit& unit(std::string_view name) const;
  const PlannedLayer& layer(std::string_view path) const;
  const PlannedCache& cache(std::string_view key_path) const;
  const io::PlannedTensor& tensor(std::string_view name) const;

  const Dialect& dialect() const { return *dialect_; }
  Target target() const { return target_; }
  /// What the dialect calls the quantization and that of the KV cache; "" for none.
  const std::string& algorithm() const { return json_.algorithm; }
  const std::string& kv_algorithm() const { return json_.kv_algorithm; }
  /// hf_quant_config.json; null if nothing is quantized, or the dialect has no such file.
  const nlohmann::ordered_json& hf_quant_config() const { return json_.hf_quant_config; }
  /// config.json, with quantization_config if anything is quantized; null if the model has none.
  const nlohmann::ordered_json& config() const { return config_; }
  /// All files of the folder but the shards and their index, JSON included.
  const std::vector<PlannedFile>& files() const { return files_; }

  const Books& books() const { return books_; }
  /// Bytes of the whole folder.
  uint64_t required_bytes() const { return required_bytes_; }
  /// Where the model was read from: never overwritten.
  const std::string& source() const { return source_; }

 private:
  CheckpointPlan() = default;
  void plan_json(const ir::Model& model, const QuantizationScheme& scheme,
                 const ExportOptions& options);
  void plan_tensors(const ir::Model& model, const ExportOptions& options);
  void keep_books(const ir::Model& model);
  void build_index();

  const Dialect* dialect_ = nullptr;
  Target target_ = Target::kAny;
  std::vector<PlannedLayer> layers_;
  std::vector<PlannedCache> caches_;
  std::vector<ExportUnit> units_;
  io::CheckpointLayout layout_;
  std::unordered_map<std::string, size_t> layer_index_;
  std::unordered_map<std::string, size_t> cache_index_;
  std::unordered_map<std::string, size_t> unit_index_;
  std::unordered_map<std::string, size_t> tensor_index_;
  QuantizationJson json_;
  nlohmann::ordered_json config_;
  std::vector<PlannedFile> files_;
  Books books_;
  uint64_t required_bytes_ = 0;
  std::string source_;
};

}  // namespace lathe::exporting
