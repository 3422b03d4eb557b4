#include "api/memory_use.h"

#include <sys/resource.h>

namespace lathe::api {

int64_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace lathe::api
