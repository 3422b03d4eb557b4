#pragma once

#include "ir/module.h"
#include "quantization/config/resolve.h"

namespace lathe::quantization {

/// Linear layers that keep their weight as [K, N] (Conv1D: GPT-2 and its kin), whose weight is to
/// be quantized, become Linear leaves with the weight [N, K]: scales and packed codes run along K,
/// and engines look for them so. Others stay what they are.
void transpose_linears(ir::Module& root, const QuantizerResolver& resolver);

}  // namespace lathe::quantization
