#pragma once

#include <span>
#include <vector>

#include "export/hf_checkpoint/planned_layer.h"
#include "export/modelopt/algorithm_table.h"

namespace lathe::exporting {

/// Layers of one format are of one algorithm: if one of them has a pre_quant_scale, all are of the
/// algorithm that can carry it.
class AlgorithmChoice {
 public:
  /// `layers` must outlive it.
  explicit AlgorithmChoice(std::span<const LayerScheme> layers);
  explicit AlgorithmChoice(std::span<const PlannedLayer> layers);

  /// Null if there is none.
  const Algorithm* operator()(const LayerScheme& layer) const;

 private:
  void add(const LayerScheme& layer);
  bool is_scaled(const LayerScheme& layer) const;

  std::vector<const LayerScheme*> scaled_;  // one of each format that has a pre_quant_scale
};

}  // namespace lathe::exporting
