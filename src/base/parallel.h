#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace lathe {

/// Threads that parallel_for uses (OMP_NUM_THREADS, or the cores of this process).
int max_threads();

/// Calls function(begin, end) on pieces of [begin, end) that are at least `grain` long, in
/// parallel. The pieces are multiples of `grain` (but the last), so results that depend on a
/// piece's bounds do not depend on the number of threads if `grain` is their unit. The first
/// exception is rethrown. Nested calls run serially. The pool is OpenMP's, which LibTorch uses too.
template <typename Function>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Function& function) {
  if (begin >= end) return;
  grain = std::max<int64_t>(grain, 1);
  [[maybe_unused]] const int64_t units = (end - begin + grain - 1) / grain;
#ifdef _OPENMP
  const auto threads = static_cast<int>(std::min<int64_t>(units, max_threads()));
  if (threads > 1 && !omp_in_parallel()) {
    std::exception_ptr error;
#pragma omp parallel num_threads(threads)
    {
      const int64_t team = omp_get_num_threads();
      const int64_t index = omp_get_thread_num();
      const int64_t from = begin + units * index / team * grain;
      const int64_t to = std::min(end, begin + units * (index + 1) / team * grain);
      try {
        if (from < to) function(from, to);
      } catch (...) {
#pragma omp critical(lathe_parallel_for)
        if (!error) error = std::current_exception();
      }
    }
    if (error) std::rethrow_exception(error);
    return;
  }
#endif
  function(begin, end);
}

}  // namespace lathe
