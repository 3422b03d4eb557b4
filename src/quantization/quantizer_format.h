#pragma once

#include <span>
#include <string>

#include "formats/format.h"
#include "quantization/config/attributes.h"

namespace lathe::quantization {

/// What a quantizer's attributes come to: a number format, where its scales come from, and what is
/// done to a tensor before and after.
struct QuantizerFormat {
  formats::Format format;
  /// Block (or token) scales are computed from the tensor at hand.
  bool dynamic = false;
  /// Block scales were asked for that are not computed from the tensor at hand.
  bool static_blocks = false;
  /// amax is this and nothing is calibrated.
  std::optional<float> constant_amax;
  /// The constant is 448, which checkpoints do not hold: their readers assume it.
  bool is_cast = false;
  /// Nothing is calibrated: what is needed of the whole tensor comes from the tensor at hand.
  bool uncalibrated = false;
  std::optional<Bias> bias;
  Rotation rotate;

  /// Whether one number (or more) of the whole tensor is needed: a static scale, or NVFP4's scale
  /// above the blocks.
  bool uses_amax() const;
  /// Whether it must have seen data for that.
  bool needs_amax() const { return uses_amax() && !constant_amax && !uncalibrated; }
  /// The same, or a static bias.
  bool needs_data() const { return needs_amax() || (bias && !bias->dynamic); }
  /// What shares an amax: a block of a static format, the whole tensor for NVFP4.
  formats::BlockShape amax_block() const;

  bool operator==(const QuantizerFormat&) const = default;
};

/// The format of a quantizer of one stage, or of INT blocks that become FP8 (W4A8). UserError that
/// begins with `where` (the quantizer's name) and names what is asked for and not supported.
QuantizerFormat quantizer_format(std::span<const QuantizerAttributes> stages,
                                 const std::string& where);
QuantizerFormat quantizer_format(const QuantizerAttributes& attributes, const std::string& where);

}  // namespace lathe::quantization
