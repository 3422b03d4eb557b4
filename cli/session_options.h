#pragma once

#include <CLI/CLI.hpp>

namespace lathe::cli {

/// Options that every subcommand has.
struct SessionOptions {
  bool quiet = false;  // no progress and no summary: warnings and errors only
  int threads = 0;     // 0: all cores of the process
};

void add_session_options(CLI::App& command, SessionOptions& options);

/// Logging, progress and threads as the options say. Once, before the first use of a model.
void start_session(const SessionOptions& options);

}  // namespace lathe::cli
