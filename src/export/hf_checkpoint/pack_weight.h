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

/// Packs a weight [N, K] strip by strip, in parallel, without ever holding more than a strip a
/// thread. `scales`: as LayerValues::weight_scales. Returns the scales that were used, codes
/// included. DataError, naming the layer, if the weight has NaN or infinite elements; InternalError
/// if the scales do not fit the layer.
formats::Scales pack_weight(const PlannedLayer& layer, kernels::MatrixView weight,
                            const formats::Scales& scales, const PackedSink& write);

}  // namespace lathe::exporting
