#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "quantization/config/attributes.h"

namespace lathe::quantization {

/// The normalized Hadamard transform of the last axis (Sylvester's order, divided by the root of
/// its size), in blocks of rotation.block_size or else of the largest power of two that divides the
/// axis. Computed in float32; the result has x's dtype. It is its own inverse. UserError that
/// begins with `where` if the block is no power of two or does not divide the axis.
at::Tensor rotate(const at::Tensor& x, const Rotation& rotation, const std::string& where);

}  // namespace lathe::quantization
