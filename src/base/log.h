#pragma once

#include <spdlog/spdlog.h>

namespace lathe {

/// The log goes to standard error: "warning: ..." for what a user should see, debug with
/// LATHE_LOG=debug. Call once, at the start of a program; without it spdlog's default logger is
/// used.
void init_logging();

}  // namespace lathe
