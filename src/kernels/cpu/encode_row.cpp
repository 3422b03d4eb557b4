#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/encode_row.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/elements-inl.h"
#include "kernels/cpu/pieces.h"
#include "kernels/cpu/rows.h"
// clang-format on

#include <hwy/cache_control.h>

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

/// What the next piece's scales are computed from, while this one is encoded from the cache. A
/// hint: the address may lie beyond the matrix.
template <class T>
HWY_INLINE void prefetch_next_piece(const T* x) {
  const auto address = reinterpret_cast<uintptr_t>(x) + kPieceSize * sizeof(T);
  hwy::Prefetch(reinterpret_cast<const uint8_t*>(address));
}

template <class IO, bool kInverse, class Lanes>
HWY_INLINE void encode_block(const Lanes& lanes, const typename IO::T* x, int64_t count,
                             VPair scale, uint8_t* codes) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    prefetch_next_piece(x + i);
    store_code_pair<IO>(encode_pair<kInverse>(lanes, IO::load_pair(x + i), scale), codes + i);
  }
  if (i < count) {
    const auto left = static_cast<size_t>(count - i);
    typename IO::T rest[2 * kMaxLanes] = {};
    uint8_t rest_codes[2 * kMaxLanes];
    std::memcpy(rest, x + i, left * sizeof(typename IO::T));
    store_code_pair<IO>(encode_pair<kInverse>(lanes, IO::load_pair(rest), scale), rest_codes);
    std::memcpy(codes + i, rest_codes, left);
  }
}

template <bool kInverse>
HWY_INLINE void encode_blocks(formats::Element element, ConstElements x, int64_t block,
                              const float* scales, uint8_t* codes) {
  with_dtype(x.dtype, [&](auto io) HWY_ATTR {
    using IO = decltype(io);
    const auto* from = static_cast<const typename IO::T*>(x.data);
    with_element(element, [&](const auto& lanes) HWY_ATTR {
      for_each_block<IO>(x.count, block, scales,
                         [&](int64_t i, int64_t count, VPair scale) HWY_ATTR {
                           encode_block<IO, kInverse>(lanes, from + i, count, scale, codes + i);
                         });
    });
  });
}

void encode_row(formats::Element element, ConstElements x, int64_t block, const float* scales,
                uint8_t* codes) {
  float inverse[kPieceSize / 32];
  const int64_t blocks = (x.count + block - 1) / block;
  if (blocks <= kPieceSize / 32 && invert_powers(scales, blocks, inverse))
    return encode_blocks<true>(element, x, block, inverse, codes);
  encode_blocks<false>(element, x, block, scales, codes);
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {
HWY_EXPORT(encode_row);

void encode_row(formats::Element element, ConstElements x, int64_t block, const float* scales,
                uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(encode_row)(element, x, block, scales, codes);
}
}  // namespace lathe::kernels
#endif
