#pragma once

#include <CLI/CLI.hpp>

namespace lathe::cli {

/// Each adds one subcommand, whose callback does the work and throws lathe::Error.
void add_quantize(CLI::App& program);
void add_plan(CLI::App& program);
void add_eval(CLI::App& program);
void add_run(CLI::App& program);
void add_inspect(CLI::App& program);
void add_trace(CLI::App& program);

}  // namespace lathe::cli
