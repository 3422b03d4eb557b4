#pragma once

#include <gtest/gtest.h>
#include <hwy/highway.h>

#include "base/parallel.h"

namespace lathe::kernels {

/// What parallel_for uses from here on.
inline void set_threads([[maybe_unused]] int threads) {
#ifdef _OPENMP
  omp_set_num_threads(threads);
#endif
}

/// Calls function() on each instruction set that this machine has, on one thread: the threads have
/// a test of their own.
template <class Function>
void on_each_target(const Function& function) {
  const int threads = max_threads();
  set_threads(1);
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    function();
    hwy::SetSupportedTargetsForTest(0);
  }
  set_threads(threads);
}

}  // namespace lathe::kernels
