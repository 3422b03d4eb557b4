#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/amax_row.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/rows.h"
// clang-format on

#include <bit>

#include "base/float16.h"

// Inlining a recursion costs a sanitized build minutes.
#undef DEEP_INLINE
#if HWY_IS_ASAN
#define DEEP_INLINE
#else
#define DEEP_INLINE HWY_INLINE
#endif

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

/// The bits of a magnitude order as the magnitudes do, infinity and NaN last: the maximum of the
/// bits is enough.
template <class D>
HWY_INLINE hn::TFromD<D> max_magnitude(D d, const hn::TFromD<D>* bits, int64_t count) {
  using T = hn::TFromD<D>;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto magnitude = hn::Set(d, static_cast<T>(T(~T{0}) >> 1));
  auto most = hn::Zero(d);
  auto most2 = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    most = hn::Max(most, hn::And(hn::LoadU(d, bits + i), magnitude));
    most2 = hn::Max(most2, hn::And(hn::LoadU(d, bits + i + lanes), magnitude));
  }
  if (i + lanes <= count) {
    most2 = hn::Max(most2, hn::And(hn::LoadU(d, bits + i), magnitude));
    i += lanes;
  }
  T result = hn::GetLane(hn::MaxOfLanes(d, hn::Max(most, most2)));
  for (; i < count; ++i) {
    result = std::max(result, static_cast<T>(bits[i] & static_cast<T>(T(~T{0}) >> 1)));
  }
  return result;
}

HWY_INLINE float magnitude_value(DType dtype, uint32_t bits) {
  if (dtype == DType::kF32) return std::bit_cast<float>(bits);
  const auto half = static_cast<uint16_t>(bits);
  return dtype == DType::kBF16 ? float_from_bf16(half) : float_from_f16(half);
}

#if HWY_TARGET == HWY_SCALAR
template <class IO>
HWY_INLINE int64_t amax_small_blocks(ConstElements, int64_t, float*) {
  return 0;
}
#else
/// The maxima of kSize neighbours each, from kSize vectors, in their order.
template <size_t kSize, class D>
DEEP_INLINE hn::Vec<D> neighbour_maxima(D d, const hn::TFromD<D>* bits) {
  using T = hn::TFromD<D>;
  if constexpr (kSize == 1) {
    return hn::And(hn::LoadU(d, bits), hn::Set(d, static_cast<T>(T(~T{0}) >> 1)));
  } else {
    const auto low = neighbour_maxima<kSize / 2>(d, bits);
    const auto high = neighbour_maxima<kSize / 2>(d, bits + kSize / 2 * hn::Lanes(d));
    return hn::Max(hn::ConcatEven(d, high, low), hn::ConcatOdd(d, high, low));
  }
}

/// As many blocks of kBlock elements as fill vectors; returns how many.
template <class IO, size_t kBlock>
HWY_INLINE int64_t amax_groups(ConstElements x, float* amax) {
  using T = hwy::MakeUnsigned<typename IO::T>;
  const hn::ScalableTag<T> d;
  const auto group = static_cast<int64_t>(hn::Lanes(d));
  const auto* bits = static_cast<const T*>(x.data);
  const auto blocks = x.count / static_cast<int64_t>(kBlock);
  int64_t i = 0;
  for (; i + group <= blocks; i += group) {
    typename IO::T most[64];
    hn::StoreU(neighbour_maxima<kBlock>(d, bits + i * static_cast<int64_t>(kBlock)), d,
               reinterpret_cast<T*>(most));
    for (int64_t k = 0; k < group; k += kLanes) {
      const VU before = to_bits(hn::LoadU(DF(), amax + i + k));
      const VU now = to_bits(IO::load(most + k));
      hn::StoreU(to_float(hn::Max(before, now)), DF(), amax + i + k);
    }
  }
  return i;
}

template <class IO>
HWY_INLINE int64_t amax_small_blocks(ConstElements x, int64_t block, float* amax) {
  if (block == 16) return amax_groups<IO, 16>(x, amax);
  if (block == 32) return amax_groups<IO, 32>(x, amax);
  return 0;
}
#endif

template <class IO>
HWY_INLINE void amax_blocks(ConstElements x, int64_t block, float* amax) {
  using T = hwy::MakeUnsigned<typename IO::T>;
  const auto* bits = static_cast<const T*>(x.data);
  const int64_t done = amax_small_blocks<IO>(x, block, amax);
  amax += done;
  for (int64_t i = done * block; i < x.count; i += block, ++amax) {
    const uint32_t most =
        max_magnitude(hn::ScalableTag<T>(), bits + i, std::min(block, x.count - i));
    const uint32_t before = std::bit_cast<uint32_t>(*amax);
    const uint32_t now = std::bit_cast<uint32_t>(magnitude_value(x.dtype, most));
    *amax = std::bit_cast<float>(std::max(before, now));
  }
}

void amax_row(ConstElements x, int64_t block, float* amax) {
  with_dtype(x.dtype, [&](auto io) HWY_ATTR { amax_blocks<decltype(io)>(x, block, amax); });
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {
HWY_EXPORT(amax_row);

void amax_row(ConstElements x, int64_t block, float* amax) {
  HWY_DYNAMIC_DISPATCH(amax_row)(x, block, amax);
}
}  // namespace lathe::kernels
#endif
