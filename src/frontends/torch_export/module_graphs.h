#pragma once

#include <string>

#include "frontends/torch_export/mutation.h"
#include "frontends/torch_export/parameters.h"

namespace lathe::frontends::torch_export {

/// Builds the tree of modules and their graphs from a program: see open.h.
ir::ModulePtr build_modules(const Program& program, const Parameters& parameters,
                            const Mutations& mutations, const std::string& source_name);

}  // namespace lathe::frontends::torch_export
