#pragma once

namespace lathe {

/// Sets up the log on standard error. Programs call it once; libraries need not.
void start_logging();

/// Progress bars on standard error: on by default.
void set_progress_enabled(bool enabled);

/// Threads for computation: OMP_NUM_THREADS or all cores of the process by default.
void set_threads(int threads);

/// "0.1.0"
const char* version();

}  // namespace lathe
