#pragma once

#include "frontends/torch_export/program.h"

namespace lathe::frontends::torch_export {

/// Puts the graphs that only change how they are differentiated (wrap_with_set_grad_enabled), or
/// that switch autocasting off (wrap_with_autocast), in the place of the operators that hold them,
/// and leaves out assertions about dtypes and devices, which the user may choose.
void inline_graphs(Program& program);

}  // namespace lathe::frontends::torch_export
