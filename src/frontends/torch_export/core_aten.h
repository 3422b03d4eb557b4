#pragma once

#include "frontends/torch_export/leaves.h"

namespace lathe::frontends::torch_export {

/// The one node that a call's nodes were before ExportedProgram.run_decompositions took it apart to
/// operators of core ATen: convolutions, norms, max pooling and linear. Nothing for anything else.
std::optional<FlatNode> recompose(const Call& call, const LeafContext& context);

}  // namespace lathe::frontends::torch_export
