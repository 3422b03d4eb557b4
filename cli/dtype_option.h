#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "lathe/model.h"

namespace lathe::cli {

/// --dtype: in which floating-point type the model computes.
void add_dtype_option(CLI::App& command, std::string& dtype);

/// What Model::open is told for --dtype; "" leaves the choice to the checkpoint.
OpenOptions open_options(const std::string& dtype);

}  // namespace lathe::cli
