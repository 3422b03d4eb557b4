#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/scheme.h"

namespace lathe::api {

/// Writes the units of a checkpoint's plan from a calibrated model.
class UnitWriter {
 public:
  UnitWriter(Model::Impl& model, exporting::CheckpointExporter& exporter);

  /// Turns the scales of calibrated groups and attentions into those that the checkpoint can hold
  /// (see export/hf_checkpoint/scale_storage.h): from then on they are final.
  void fit_scales(const std::vector<size_t>& groups, const std::vector<size_t>& attentions);

  /// Packs and writes everything in a unit. Its scales must be final.
  void write(const exporting::ExportUnit& unit);

  /// Groups (indices into the conversion's) that have a member in the unit.
  std::vector<size_t> groups_of(const exporting::ExportUnit& unit) const;
  /// Layers whose weights are quantized in the unit.
  std::vector<const quantization::QuantizedLayer*> layers_of(
      const exporting::ExportUnit& unit) const;
  std::vector<size_t> attentions_of(const exporting::ExportUnit& unit) const;

 private:
  void write_plain(const std::string& name);
  void write_fused(const exporting::FusedTensor& fused);
  /// Layers whose packed weights the tensor holds.
  const std::vector<size_t>& layers_in(std::string_view tensor) const;

  Model::Impl& model_;
  exporting::CheckpointExporter& exporter_;
  /// Layers by the tensor of their packed weight: all experts where they are fused.
  std::unordered_map<std::string_view, std::vector<size_t>> layers_in_;
  std::vector<size_t> group_of_;                               // layer to group
  std::unordered_map<std::string_view, size_t> attention_of_;  // a tensor of the cache
  std::unordered_map<std::string, size_t> attention_beside_;   // the weights that make keys
};

}  // namespace lathe::api
