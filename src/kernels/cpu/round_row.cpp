#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/round_row.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/elements-inl.h"
#include "kernels/cpu/rows.h"
#include <hwy/cache_control.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

template <class IO, bool kStream, class Lanes>
HWY_INLINE void round_block(const Lanes& lanes, const typename IO::T* x, int64_t count, VPair scale,
                            typename IO::T* y) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    const VPair value = round_pair(lanes, IO::load_pair(x + i), scale);
    if constexpr (kStream) {
      IO::stream_pair(value, y + i);
    } else {
      IO::store_pair(value, y + i);
    }
  }
  if (i < count) {
    typename IO::T rest[2 * kMaxLanes] = {};
    const size_t bytes = static_cast<size_t>(count - i) * sizeof(typename IO::T);
    std::memcpy(rest, x + i, bytes);
    IO::store_pair(round_pair(lanes, IO::load_pair(rest), scale), rest);
    std::memcpy(y + i, rest, bytes);
  }
}

template <class IO, bool kStream, class Lanes>
HWY_INLINE void round_blocks(const Lanes& lanes, ConstElements x, int64_t block,
                             const float* scales, typename IO::T* y) {
  const auto* from = static_cast<const typename IO::T*>(x.data);
  for_each_block<IO>(x.count, block, scales, [&](int64_t i, int64_t count, VPair scale) HWY_ATTR {
    round_block<IO, kStream>(lanes, from + i, count, scale, y + i);
  });
}

/// Streaming stores need addresses that are multiples of the vector.
template <class T>
HWY_INLINE bool can_stream(const T* y, int64_t block, int64_t count) {
  const bool whole = block % (2 * kLanes) == 0 || block == kLanes || block >= count;
  return whole && reinterpret_cast<uintptr_t>(y) % (kLanes * sizeof(float)) == 0;
}

void round_row(formats::Element element, ConstElements x, int64_t block, const float* scales,
               void* y, bool stream) {
  with_dtype(x.dtype, [&](auto io) HWY_ATTR {
    using IO = decltype(io);
    auto* to = static_cast<typename IO::T*>(y);
    with_element(element, [&](const auto& lanes) HWY_ATTR {
      if (stream && can_stream(to, block, x.count)) {
        round_blocks<IO, true>(lanes, x, block, scales, to);
        hwy::FlushStream();
      } else {
        round_blocks<IO, false>(lanes, x, block, scales, to);
      }
    });
  });
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {
HWY_EXPORT(round_row);

void round_row(formats::Element element, ConstElements x, int64_t block, const float* scales,
               void* y, bool stream) {
  HWY_DYNAMIC_DISPATCH(round_row)(element, x, block, scales, y, stream);
}
}  // namespace lathe::kernels
#endif
