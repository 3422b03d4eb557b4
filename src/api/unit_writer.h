#pragma once

#include <string>
#include <unordered_map>

#include "api/scheme.h"

namespace lathe::api {

/// Writes the units of a checkpoint's plan from a calibrated model.
class UnitWriter {
 public:
  UnitWriter(Model::Impl& model, exporting::CheckpointExporter& exporter);

  /// Packs and writes everything in a unit. Its scales must be final.
  void write(const exporting::ExportUnit& unit);

  /// Groups (indices into the conversion's) that have a member in the unit.
  std::vector<size_t> groups_of(const exporting::ExportUnit& unit) const;
  std::vector<size_t> attentions_of(const exporting::ExportUnit& unit) const;

 private:
  void write_plain(const std::string& name);

  Model::Impl& model_;
  exporting::CheckpointExporter& exporter_;
  std::unordered_map<std::string, size_t> layer_of_;      // "<path>.weight" of quantized layers
  std::unordered_map<size_t, size_t> group_of_;           // layer to group
  std::unordered_map<std::string, size_t> attention_of_;  // "<key producer>.k_scale"
};

}  // namespace lathe::api
