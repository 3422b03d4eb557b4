#pragma once

#include <cstdint>

namespace lathe::api {

/// Largest resident set of this process so far, in bytes: what the system's own accounting says.
/// Mapped files count while their pages are resident.
int64_t peak_memory();

}  // namespace lathe::api
