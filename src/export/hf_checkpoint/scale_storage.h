#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "export/hf_checkpoint/layer_storage.h"
#include "formats/scale.h"

namespace lathe::exporting {

/// The nearest scale that `dtype` (F32, BF16, F16) can hold; never 0 and never infinite.
float stored_scale(float scale, DType dtype);

/// The nearest float32 that reads back from a file that holds its reciprocal g, both by 1 / g and,
/// times any E4M3 code, by code / g: engines do the one, compressed-tensors the other, and Lathe
/// multiplies. It is a few ulps away; at most a relative 2e-4.
float reciprocal_scale(float scale);

/// Scales as a layer that is stored like this can hold them: fitted before anything is packed, so
/// that what is evaluated, packed and read back is the same.
void fit_weight_scales(const LayerStorage& storage, formats::Scales& scales);
void fit_input_scale(const LayerStorage& storage, formats::Scales& scales);

/// Scales that the dtype holds exactly, as bytes.
std::vector<std::byte> scale_bytes(std::span<const float> scales, DType dtype);

}  // namespace lathe::exporting
