#pragma once

#include <ATen/core/Tensor.h>

#include "ops/interpreter.h"
#include "trace/shrink.h"

namespace lathe::trace {

/// Gives every parameter and buffer below `model` that has no value one: random, but the same for
/// the same path.
void fill_parameters(ir::Module& model, uint64_t seed);

/// A model whose units other than `kept` are masked: their slices of all parameters are zero, and
/// norms and routers look only at what is kept. What it computes is what the shrunk model must.
class MaskedModel {
 public:
  MaskedModel(ir::ModulePtr model, const UnitResult& units, const KeptUnits& kept);

  at::Tensor run(const ops::NamedTensors& inputs);

 private:
  ir::ModulePtr model_;
  ops::Interpreter interpreter_;
};

/// A copy of a model's tree; parameters have the same values and are not shared with it. Graphs
/// are.
ir::ModulePtr copy_model(const ir::Module& model);

/// The first output of a model.
at::Tensor run(const ir::Module& model, const ops::NamedTensors& inputs);

}  // namespace lathe::trace
