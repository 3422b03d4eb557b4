#include "cli/freed_memory.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace lathe::cli {
namespace {

void set_thresholds([[maybe_unused]] int map_bytes, [[maybe_unused]] int trim_bytes) {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, map_bytes);
  ::mallopt(M_TRIM_THRESHOLD, trim_bytes);
#endif
}

}  // namespace

void return_freed_memory() { set_thresholds(1 << 20, 1 << 20); }

void keep_freed_memory() { set_thresholds(4 << 20, 64 << 20); }

}  // namespace lathe::cli
