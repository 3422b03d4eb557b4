#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
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
  std::string name;                              // "model.layers.3", "model.embed_tokens"
  std::span<const io::PlannedTensor> tensors{};  // of the plan's layout
};

/// Everything about a checkpoint but the values of its tensors: known before any work. Copies share
/// it.
class CheckpointPlan {
 public:
  /// All that stands against such a checkpoint; empty if nothing does. Reads no weights.
  static std::vector<std::string> problems(const ir::Model& model, const QuantizationScheme& scheme,
                                           const ExportOptions& options);

  /// UserError that lists all problems. InternalError if a tensor of the source would be lost.
  static CheckpointPlan make(const ir::Model& model, const QuantizationScheme& scheme,
                             const ExportOptions& options);
  /// The same, but problems are added to `problems`, and then there is no plan.
  static std::optional<CheckpointPlan> make_unless(std::vector<std::string>& problems,
                                                   const ir::Model& model,
                                                   QuantizationScheme scheme,
                                                   const ExportOptions& options);

  const io::CheckpointLayout& layout() const { return contents_->layout; }
  std::shared_ptr<const io::CheckpointLayout> shared_layout() const {
    return {contents_, &contents_->layout};
  }
  /// In the order of the model, which is that of the tensors in the shards.
  const std::vector<ExportUnit>& units() const { return contents_->units; }
  const std::vector<PlannedLayer>& layers() const { return contents_->layers; }
  const std::vector<PlannedCache>& caches() const { return contents_->caches; }
  /// By name, path, path of the module that makes the keys, tensor name; InternalError if there is
  /// none.
  const ExportUnit& unit(std::string_view name) const;
  const PlannedLayer& layer(std::string_view path) const;
  const PlannedCache& cache(std::string_view key_path) const;
  const io::PlannedTensor& tensor(std::string_view name) const;
  /// Parameters that are one tensor of that name; null if there are none.
  const FusedTensor* find_fused(std::string_view name) const;
  const std::vector<FusedTensor>& fused() const { return contents_->fused; }

  const Dialect& dialect() const { return *contents_->dialect; }
  Target target() const { return contents_->target; }
  /// What the dialect calls the quantization and that of the KV cache; "" for none.
  const std::string& algorithm() const { return contents_->json.algorithm; }
  const std::string& kv_algorithm() const { return contents_->json.kv_algorithm; }
  /// hf_quant_config.json; null if nothing is quantized, or the dialect has no such file.
  const nlohmann::ordered_json& hf_quant_config() const { return contents_->json.hf_quant_config; }
  /// config.json, with quantization_config if anything is quantized; null if the model has none.
  const nlohmann::ordered_json& config() const { return contents_->config; }
  /// All files of the folder but the shards and their index, JSON included.
  const std::vector<PlannedFile>& files() const { return contents_->files; }

  const Books& books() const { return contents_->books; }
  /// Bytes of the whole folder.
  uint64_t required_bytes() const { return contents_->required_bytes; }
  /// Where the model was read from: never overwritten.
  const std::string& source() const { return contents_->source; }

 private:
  using Index = std::unordered_map<std::string_view, size_t>;  // of names in what is indexed

  struct Contents {
    void plan_json(const ir::Model& model, const QuantizationScheme& scheme,
                   const ExportOptions& options);
    void plan_tensors(const ir::Model& model, const ExportOptions& options);
    void build_index();
    void keep_books(const ir::Model& model);

    const Dialect* dialect = nullptr;
    Target target = Target::kAny;
    std::vector<PlannedLayer> layers;
    std::vector<PlannedCache> caches;
    std::vector<FusedTensor> fused;
    std::vector<ExportUnit> units;
    io::CheckpointLayout layout;
    Index layer_index;
    Index cache_index;
    Index unit_index;
    QuantizationJson json;
    nlohmann::ordered_json config;
    std::vector<PlannedFile> files;
    Books books;
    uint64_t required_bytes = 0;
    std::string source;
  };

  explicit CheckpointPlan(std::shared_ptr<const Contents> contents)
      : contents_(std::move(contents)) {}

  std::shared_ptr<const Contents> contents_;
};

}  // namespace lathe::exporting
