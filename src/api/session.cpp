#include "lathe/session.h"

#include <ATen/Parallel.h>

#include "base/error.h"
#include "base/log.h"
#include "base/progress.h"

namespace lathe {

void start_logging() { init_logging(); }

void set_progress_enabled(bool enabled) { Progress::set_enabled(enabled); }

void set_threads(int threads) {
  if (threads < 1) throw_user("the number of threads must be at least 1, found {}", threads);
  at::set_num_threads(threads);
}

const char* version() { return LATHE_VERSION; }

}  // namespace lathe
