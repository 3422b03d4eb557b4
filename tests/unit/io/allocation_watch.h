#pragma once

#include <cstddef>

namespace lathe::io {

/// Sees the largest single allocation (operator new) of this thread while it lives.
class AllocationWatch {
 public:
  AllocationWatch();
  size_t largest() const;
};

}  // namespace lathe::io
