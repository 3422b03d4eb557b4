#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/module.h"

namespace lathe::quantization {

/// A batch norm that became part of the layer before it.
struct FoldedNorm {
  std::string norm;  // paths
  std::string layer;
  ir::ParameterPtr weight;  // the layer's before; its own now has other values
  ir::ParameterPtr bias;    // null if it had none
};

/// Folds each batch norm that does not train into the convolution, transposed convolution or linear
/// whose values it alone reads: weight' = weight * g and bias' = (bias - mean) * g + beta with
/// g = gamma / sqrt(variance + eps), computed in float64 and rounded once. The norm becomes a
/// module that gives what it is given. Layers and norms that are called more than once, and weights
/// that others read, stay as they are. `may_fold` has the last word on a pair (layer, norm).
std::vector<FoldedNorm> fold_batch_norms(
    ir::Module& root, const std::function<bool(const ir::Module&, const ir::Module&)>& may_fold);

}  // namespace lathe::quantization
