#pragma once

#include <string>

#include "frontends/torch_export/mutation.h"
#include "frontends/torch_export/parameters.h"
#include "frontends/torch_export/program_sites.h"

namespace lathe::frontends::torch_export {

/// Builds the tree of modules and their graphs from a program: see open.h. `sites` is filled in.
ir::ModulePtr build_modules(const Program& program, const Parameters& parameters,
                            const Mutations& mutations, const std::string& source_name,
                            ProgramSites& sites);

}  // namespace lathe::frontends::torch_export
