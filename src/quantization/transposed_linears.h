#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ir/module.h"
#include "quantization/config/resolve.h"

namespace lathe::quantization {

/// The leaf type of a linear whose weight is [K, N].
constexpr std::string_view kTransposedLinear = "Conv1D";

/// Linear layers that keep their weight as [K, N] (Conv1D: GPT-2 and its kin), whose weight is to
/// be quantized, become Linear leaves with the weight [N, K]: scales and packed codes run along K,
/// and engines look for them so. Others stay what they are.
void transpose_linears(ir::Module& root, const QuantizerResolver& resolver);

/// The same for the paths that are wanted: those of a checkpoint's packed weights.
void transpose_linears(ir::Module& root, const std::function<bool(const std::string&)>& wanted);

}  // namespace lathe::quantization
