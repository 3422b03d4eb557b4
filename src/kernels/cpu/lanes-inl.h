// Vectors of float32 lanes: reading and writing the dtypes. Included once for each instruction set.
#if defined(LATHE_KERNELS_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LATHE_KERNELS_LANES_INL_H_
#undef LATHE_KERNELS_LANES_INL_H_
#else
#define LATHE_KERNELS_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "lathe/dtype.h"

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Sixteen lanes at most: a block of NVFP4.
using DF = hn::CappedTag<float, 16>;
using DU = hn::Rebind<uint32_t, DF>;
using DI = hn::Rebind<int32_t, DF>;
using DHalf = hn::Rebind<uint16_t, DF>;
using DByte = hn::Rebind<uint8_t, DF>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;
constexpr size_t kMaxLanes = 16;
constexpr auto kLanes = static_cast<int64_t>(hn::MaxLanes(DF()));

constexpr uint32_t kSignBit = 0x80000000u;
constexpr uint32_t kInfinityBits = 0x7f800000u;
constexpr uint32_t kQuietNanBits = 0x7fc00000u;

HWY_INLINE VU set_bits(uint32_t bits) { return hn::Set(DU(), bits); }
HWY_INLINE VU to_bits(VF value) { return hn::BitCast(DU(), value); }
HWY_INLINE VF to_float(VU bits) { return hn::BitCast(DF(), bits); }

/// yes where value > limit, both at most 2^31 - 1 (signed comparisons are the ones that all
/// instruction sets have).
HWY_INLINE VU select_above(VU value, uint32_t limit, VU yes, VU no) {
  const DI di;
  const auto above = hn::Gt(hn::BitCast(di, value), hn::Set(di, static_cast<int32_t>(limit)));
  return hn::BitCast(DU(), hn::IfThenElse(above, hn::BitCast(di, yes), hn::BitCast(di, no)));
}

/// Two vectors of elements that follow each other in memory, in an order that suits the dtype.
struct VPair {
  VF first;
  VF second;
};

/// Element types: load gives float32 lanes, exactly; store rounds once, ties to even. The _pair
/// functions are for 2 * kLanes elements at once. kInterleaved: a pair's first vector holds the
/// even elements; otherwise the first half.
struct F32Lanes {
  using T = float;
  static constexpr bool kInterleaved = false;
  static HWY_INLINE VF load(const T* from) { return hn::LoadU(DF(), from); }
  static HWY_INLINE void store(VF value, T* to) { hn::StoreU(value, DF(), to); }
  static HWY_INLINE VPair load_pair(const T* from) { return {load(from), load(from + kLanes)}; }
  static HWY_INLINE void store_pair(VPair pair, T* to) {
    store(pair.first, to);
    store(pair.second, to + kLanes);
  }
  static HWY_INLINE void stream_pair(VPair pair, T* to) {
    hn::Stream(pair.first, DF(), to);
    hn::Stream(pair.second, DF(), to + kLanes);
  }
};

/// A bfloat16 is the upper half of a float32, so a 32-bit lane holds two of them: no shuffles.
struct BF16Lanes {
  using T = uint16_t;
  static constexpr bool kInterleaved = true;
  static HWY_INLINE VF load(const T* from) {
    return to_float(hn::ShiftLeft<16>(hn::PromoteTo(DU(), hn::LoadU(DHalf(), from))));
  }
  static HWY_INLINE void store(VF value, T* to) {
    hn::StoreU(hn::TruncateTo(DHalf(), hn::ShiftRight<16>(rounded(value))), DHalf(), to);
  }
  static HWY_INLINE VPair load_pair(const T* from) {
    const VU both = hn::LoadU(DU(), reinterpret_cast<const uint32_t*>(from));
    return {to_float(hn::ShiftLeft<16>(both)), to_float(hn::And(both, set_bits(0xffff0000u)))};
  }
  static HWY_INLINE void store_pair(VPair pair, T* to) {
    hn::StoreU(joined(pair), DU(), reinterpret_cast<uint32_t*>(to));
  }
  static HWY_INLINE void stream_pair(VPair pair, T* to) {
    hn::Stream(joined(pair), DU(), reinterpret_cast<uint32_t*>(to));
  }

  /// The bfloat16 nearest to each lane.
  static HWY_INLINE VF round(VF value) {
    return to_float(hn::And(rounded(value), set_bits(0xffff0000u)));
  }

 private:
  /// The upper half of the result is the bfloat16. Of the NaNs, the one without a payload survives.
  static HWY_INLINE VU rounded_code(VF value) {
    const VU bits = to_bits(value);
    const VU odd = hn::And(hn::ShiftRight<16>(bits), set_bits(1));
    return hn::Add(bits, hn::Add(odd, set_bits(0x7fff)));
  }
  /// Other NaNs must not be rounded away.
  static HWY_INLINE VU rounded(VF value) {
    const VF nan = to_float(hn::Or(to_bits(value), set_bits(0x400000)));
    return to_bits(hn::IfThenElse(hn::IsNaN(value), nan, to_float(rounded_code(value))));
  }
  static HWY_INLINE VU joined(VPair pair) {
    return hn::OrAnd(hn::ShiftRight<16>(rounded_code(pair.first)), rounded_code(pair.second),
                     set_bits(0xffff0000u));
  }
};

struct F16Lanes {
  using T = uint16_t;
  static constexpr bool kInterleaved = false;
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX2  // without F16C
  static HWY_INLINE VF load(const T* from) {
    const VU half = hn::PromoteTo(DU(), hn::LoadU(DHalf(), from));
    const VU sign = hn::ShiftLeft<16>(hn::And(half, set_bits(0x8000)));
    const VU magnitude = hn::And(half, set_bits(0x7fff));
    const VU shifted = hn::ShiftLeft<13>(magnitude);
    const VU finite = to_bits(hn::Mul(to_float(shifted), hn::Set(DF(), 0x1p112f)));
    const VU special = hn::Or(shifted, set_bits(kInfinityBits));
    return to_float(hn::Or(select_above(magnitude, 0x7bff, special, finite), sign));
  }
  static HWY_INLINE auto narrow(VF value) {
    const VU bits = to_bits(value);
    const VU magnitude = hn::AndNot(set_bits(kSignBit), bits);
    const VU least = set_bits(113u << 23);
    const VU exponent = hn::Max(hn::And(magnitude, set_bits(kInfinityBits)), least);
    const VU anchor = hn::Add(exponent, set_bits(13u << 23));
    const VU sum = to_bits(hn::Add(to_float(magnitude), to_float(anchor)));
    VU half = hn::Add(hn::Sub(sum, anchor), hn::ShiftRight<13>(hn::Sub(exponent, least)));
    half = select_above(magnitude, 0x477fefff, set_bits(0x7c00), half);
    half = select_above(magnitude, kInfinityBits, set_bits(0x7e00), half);
    const VU sign = hn::And(hn::ShiftRight<16>(bits), set_bits(0x8000));
    return hn::TruncateTo(DHalf(), hn::Or(half, sign));
  }
#else
  using DF16 = hn::Rebind<hwy::float16_t, DF>;
  static HWY_INLINE VF load(const T* from) {
    return hn::PromoteTo(DF(), hn::BitCast(DF16(), hn::LoadU(DHalf(), from)));
  }
  static HWY_INLINE auto narrow(VF value) {
    return hn::BitCast(DHalf(), hn::DemoteTo(DF16(), value));
  }
#endif
  static HWY_INLINE void store(VF value, T* to) { hn::StoreU(narrow(value), DHalf(), to); }
  static HWY_INLINE VPair load_pair(const T* from) { return {load(from), load(from + kLanes)}; }
  static HWY_INLINE void store_pair(VPair pair, T* to) {
    store(pair.first, to);
    store(pair.second, to + kLanes);
  }
  static HWY_INLINE void stream_pair(VPair pair, T* to) {
    hn::Stream(narrow(pair.first), DHalf(), to);
    hn::Stream(narrow(pair.second), DHalf(), to + kLanes);
  }
};

/// Codes, a byte each, as lanes.
HWY_INLINE VU load_codes(const uint8_t* from) {
  return hn::PromoteTo(DU(), hn::LoadU(DByte(), from));
}
HWY_INLINE void store_codes(VU codes, uint8_t* to) {
  hn::StoreU(hn::TruncateTo(DByte(), codes), DByte(), to);
}

struct CodePair {
  VU first;
  VU second;
};

/// Codes of a pair whose values IO loads or stores.
template <class IO>
HWY_INLINE CodePair load_code_pair(const uint8_t* from) {
  if constexpr (IO::kInterleaved) {
    const VU both =
        hn::PromoteTo(DU(), hn::LoadU(DHalf(), reinterpret_cast<const uint16_t*>(from)));
    return {hn::And(both, set_bits(0xff)), hn::ShiftRight<8>(both)};
  } else {
    return {load_codes(from), load_codes(from + kLanes)};
  }
}
template <class IO>
HWY_INLINE void store_code_pair(CodePair codes, uint8_t* to) {
  if constexpr (IO::kInterleaved) {
    const VU both = hn::Or(hn::And(codes.first, set_bits(0xff)), hn::ShiftLeft<8>(codes.second));
    hn::StoreU(hn::TruncateTo(DHalf(), both), DHalf(), reinterpret_cast<uint16_t*>(to));
  } else {
    store_codes(codes.first, to);
    store_codes(codes.second, to + kLanes);
  }
}

/// The scales of a pair: of one block, or of two blocks that are a vector long each. Of the NaNs,
/// bfloat16's store_pair keeps but one.
template <class IO>
HWY_INLINE VPair quiet_scale(VPair scale) {
  if constexpr (!IO::kInterleaved) return scale;
  const VF quiet =
      hn::IfThenElse(hn::IsNaN(scale.first), to_float(set_bits(kQuietNanBits)), scale.first);
  return {quiet, quiet};
}
template <class IO>
HWY_INLINE VPair pair_scale(float scale) {
  return quiet_scale<IO>({hn::Set(DF(), scale), hn::Set(DF(), scale)});
}
template <class IO>
HWY_INLINE VPair pair_scale(float scale, float next) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (IO::kInterleaved) {
    const VF both = hn::ConcatLowerLower(DF(), hn::Set(DF(), next), hn::Set(DF(), scale));
    return quiet_scale<IO>({both, both});
  }
#endif
  return {hn::Set(DF(), scale), hn::Set(DF(), next)};
}

/// function(first element, elements, scales) for blocks of `block` elements, or for two blocks at
/// once where a block is one vector.
template <class IO, class Function>
HWY_INLINE void for_each_block(int64_t count, int64_t block, const float* scales,
                               const Function& function) {
  int64_t i = 0;
  if (block == kLanes && kLanes > 1) {
    for (; i + 2 * kLanes <= count; i += 2 * kLanes, scales += 2) {
      function(i, 2 * kLanes, pair_scale<IO>(scales[0], scales[1]));
    }
  }
  for (; i < count; i += block) {
    function(i, std::min(block, count - i), pair_scale<IO>(*scales++));
  }
}

/// function(IO) with the lanes of a dtype.
template <class Function>
HWY_INLINE void with_dtype(DType dtype, const Function& function) {
  switch (dtype) {
    case DType::kF32:
      return function(F32Lanes());
    case DType::kBF16:
      return function(BF16Lanes());
    case DType::kF16:
      return function(F16Lanes());
    default:
      throw_internal("kernels take F32, BF16 and F16, found {}", dtype_name(dtype));
  }
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LATHE_KERNELS_LANES_INL_H_
