#pragma once

#include <string>
#include <vector>

#include "ir/module.h"

namespace lathe::quantization {

/// An operator of a module's graph that became a leaf.
struct LiftedLayer {
  std::string owner;  // path of the module whose graph had the operator
  std::string node;   // its name in that graph
  std::string path;   // of the leaf
  std::string input;  // the operator's argument that is the leaf's: "input", "mat1"
  /// Of a leaf that has some rows of a parameter alone: the whole, and where they begin.
  ir::ParameterPtr whole_weight = nullptr;
  int64_t first_row = 0;
  bool has_part_of_bias = false;
};

/// What stays as it is, and why.
struct LeftAlone {
  std::string path;
  std::string reason;
};

struct Lifting {
  std::vector<LiftedLayer> layers;  // a leaf that several operators became is there several times
  std::vector<LeftAlone> left;
};

/// Makes leaves (Linear, Conv1d, ...) of the operators aten::linear, aten::conv1d, ... in the
/// graphs below `root` whose weights are parameters, so that they can be quantized like any layer:
/// torch.nn.functional's calls, and what torch.nn.MultiheadAttention does. Products with a matrix
/// that is a parameter (aten::addmm, mm, matmul) become Conv1D, a linear whose weight is [K, N].
/// The leaf of "out_proj.weight" is the module "out_proj"; that of "in_proj_weight" is a new child
/// "in_proj", with rows of it where the attention cuts it up.
/// Operators that read computed weights, or weights from outside of the module, are left alone.
Lifting lift_layers(ir::Module& root);

}  // namespace lathe::quantization
