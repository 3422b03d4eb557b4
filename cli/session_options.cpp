#include "cli/session_options.h"
#include "cli/option_values.h"

#include <cstdlib>

#include "lathe/session.h"

namespace lathe::cli {

void add_session_options(CLI::App& command, SessionOptions& options) {
  command
      .add_flag("-q,--quiet", options.quiet, "No progress and no summary: warnings and errors only")
      ->group("General");
  command.add_option("--threads", options.threads, "Threads for computation (all cores)")
      ->check(at_least_one())
      ->type_name("N")
      ->group("General");
}

void start_session(const SessionOptions& options) {
  if (options.quiet) {
    ::setenv("LATHE_LOG", "warning", /*overwrite=*/0);
    set_progress_enabled(false);
  }
  start_logging();
  if (options.threads > 0) set_threads(options.threads);
}

}  // namespace lathe::cli
