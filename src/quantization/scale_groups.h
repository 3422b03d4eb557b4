#pragma once

#include <string>
#include <vector>

#include "quantization/conversion.h"

namespace lathe::quantization {

struct ScaleOptions {
  /// Per-tensor float32 weight scales (FP8, INT8) are shared by a group. NVFP4's global scales and
  /// the FP8 scales of W4A8 are shared in any case.
  bool fuse_scales = true;
};

/// Members of a group whose weight quantizers are on: those that share scales.
std::vector<const QuantizedLayer*> weight_members(const Conversion& conversion,
                                                  const std::vector<size_t>& group);

/// Whether a group of such weights shares one tensor-wide scale.
bool shares_weight_scale(const formats::Format& format, const ScaleOptions& options);

/// Groups whose members are quantized to different formats, which no engine can fuse: one line
/// each.
std::vector<std::string> mixed_group_problems(const Conversion& conversion);

/// The last step of a calibration, for one group: amax is shared where the format wants it, then
/// becomes scales.
void finish_group(const Conversion& conversion, const std::vector<size_t>& group,
                  const ScaleOptions& options);

/// Shares the tensor-wide scales of weights that lie in one tensor of the checkpoint, after the
/// groups of all of them are finished. `--no-fuse-scales` has no say: there is one such scale.
void finish_fused_weights(const Conversion& conversion, const std::vector<size_t>& layers);

/// The same for the inputs alone of layers that are in several groups.
void finish_inputs(const Conversion& conversion, const std::vector<size_t>& layers);

/// The same for an attention: scales of the cache are what a checkpoint can say of them.
void finish_attention(const QuantizedAttention& attention);

}  // namespace lathe::quantization
