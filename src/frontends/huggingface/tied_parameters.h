#pragma once

#include <string>

#include "frontends/huggingface/weights.h"
#include "ir/model.h"

namespace lathe::frontends {

/// Ties the parameter at `tied` to the one at `kept` and books it in the model, if that is wanted
/// and the checkpoint's two tensors, where both are there, are equal; if they are not, warns and
/// sets tie_word_embeddings in model.config to false. Whether they are tied.
bool tie_parameter(bool wanted, const std::string& tied, const std::string& kept, Weights& weights,
                   ir::Model& model);

/// A Linear that shares the weight of an embedding.
ir::ModulePtr tied_linear(const ir::Module& embedding);

}  // namespace lathe::frontends
