#include "unit/io/allocation_watch.h"

#include <cstdlib>
#include <new>

namespace {

thread_local size_t largest_allocation = 0;

void* allocate(size_t size) noexcept {
  if (size > largest_allocation) largest_allocation = size;
  return std::malloc(size == 0 ? 1 : size);
}

}  // namespace

// Replace the test binary's allocation functions; operator new[] calls these.
void* operator new(size_t size) {
  void* memory = allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return allocate(size); }

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

namespace lathe::io {

AllocationWatch::AllocationWatch() { largest_allocation = 0; }
size_t AllocationWatch::largest() const { return largest_allocation; }

}  // namespace lathe::io
