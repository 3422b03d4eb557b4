#pragma once

#include <string>

#include "formats/format.h"
#include "quantization/config/attributes.h"

namespace lathe::quantization {

/// What a quantizer's attributes come to: a number format, and where its scales come from.
struct QuantizerFormat {
  formats::Format format;
  /// Block (or token) scales are computed from the tensor at hand.
  bool dynamic = false;
  /// amax is this and nothing is calibrated.
  std::optional<float> constant_amax;

  /// Whether it must have seen data: a static scale, or NVFP4's scale of the whole tensor.
  bool needs_amax() const;
  /// What shares an amax: a block of a static format, the whole tensor for NVFP4.
  formats::BlockShape amax_block() const;
};

/// UserError that begins with `where` (the quantizer's name) and names what is asked for and not
/// supported.
QuantizerFormat quantizer_format(const QuantizerAttributes& attributes, const std::string& where);

}  // namespace lathe::quantization
