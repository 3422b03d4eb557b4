#pragma once

namespace lathe::cli {

/// SIGINT and SIGTERM end the program with exit code 130 and a line on standard error. Files that
/// Lathe writes are safe against being killed at any moment, so that there is nothing to undo.
void install_interrupt_handler();

/// From now on the line says that --resume continues the work.
void announce_resume_on_interrupt();

}  // namespace lathe::cli
