#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

#include "export/hf_checkpoint/planned_layer.h"
#include "formats/scale.h"
#include "kernels/kernels.h"

namespace lathe::exporting {

/// Takes packed bytes that belong at `offset` of the packed weight; called from several threads.
using PackedSink = std::function<void(size_t offset, std::span<const std::byte> bytes)>;

/// Takes the scales of cells from `first_cell` of the grid on; called from several threads.
using ScaleSink = std::function<void(size_t first_cell, const formats::Scales& scales)>;

/// Packs a weight [N, K] strip by strip, in parallel, without ever holding more than a strip a
/// thread. `scales`: as LayerValues::weight_scales; those that it has not (codes, or values of
/// blocks that lie in a strip) are computed and given to `write_scales`, if there is one, and
/// otherwise to the result, which has the scales that were used. DataError, naming the layer, if
/// the weight has NaN or infinite elements; InternalError if the scales do not fit the layer.
formats::Scales pack_weight(const PlannedLayer& layer, kernels::MatrixView weight,
                            const formats::Scales& scales, const PackedSink& write,
                            const ScaleSink& write_scales = {});

}  // namespace lathe::exporting
