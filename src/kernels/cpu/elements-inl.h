// Number formats on float32 lanes. Included once for each instruction set.
#if defined(LATHE_KERNELS_ELEMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef LATHE_KERNELS_ELEMENTS_INL_H_
#undef LATHE_KERNELS_ELEMENTS_INL_H_
#else
#define LATHE_KERNELS_ELEMENTS_INL_H_
#endif

#include <bit>

#include "formats/float_element.h"
#include "formats/int_element.h"
#include "kernels/cpu/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

/// A small float. round(q) == decode(encode(q)), without going through the code.
template <const formats::FloatSpec& kSpec>
class FloatLanes {
 public:
  explicit FloatLanes(formats::Element) {}

  HWY_INLINE VF round(VF q) const {
    const Rounding rounding(q);
    VF value = hn::Sub(rounding.sum, to_float(rounding.anchor));
    if constexpr (kSpec.has_nan()) {
      value = hn::IfThenElse(hn::IsNaN(q), to_float(set_bits(kQuietNanBits)), value);
    }
    return hn::CopySignToAbs(value, q);
  }

  HWY_INLINE VU encode(VF q) const {
    const Rounding rounding(q);
    const VU count = hn::Sub(to_bits(rounding.sum), rounding.anchor);
    const VU binades = hn::Sub(rounding.exponent, set_bits(kLeastExponent));
    VU code = hn::Add(count, hn::ShiftRight<kDroppedBits>(binades));
    if constexpr (kSpec.has_nan()) {
      code =
          to_bits(hn::IfThenElse(hn::IsNaN(q), to_float(set_bits(kSpec.nan_code)), to_float(code)));
    }
    return hn::Or(code, hn::ShiftRight<32 - kSpec.bits()>(sign_of(q)));
  }

  HWY_INLINE VF decode(VU code) const {
    constexpr uint32_t kSign = kSpec.sign_code();
    const VU sign = hn::ShiftLeft<32 - kSpec.bits()>(hn::And(code, set_bits(kSign)));
    const VU magnitude = hn::And(code, set_bits(kSign - 1));
    // A subnormal, read as the normal with the least exponent, is too large by that normal's
    // leading one.
    const VU shifted = hn::ShiftLeft<kDroppedBits>(magnitude);
    constexpr uint32_t kLeast = kLeastExponent - (1u << 23);
    const VU normal = hn::Add(shifted, set_bits(kLeast));
    const VF raised = to_float(hn::Add(shifted, set_bits(kLeastExponent)));
    const VF subnormal = hn::Sub(raised, to_float(set_bits(kLeastExponent)));
    constexpr uint32_t kLastSubnormal = (1u << kSpec.mantissa_bits) - 1;
    VU value = select_above(magnitude, kLastSubnormal, normal, to_bits(subnormal));
    if constexpr (kSpec.has_infinity) {
      value = select_above(magnitude, kSpec.max_code, set_bits(kInfinityBits), value);
    }
    if constexpr (kSpec.has_nan()) {
      constexpr uint32_t kLastNumber = kSpec.max_code + (kSpec.has_infinity ? 1 : 0);
      value = select_above(magnitude, kLastNumber, set_bits(kQuietNanBits), value);
    }
    return to_float(hn::Or(value, sign));
  }

 private:
  static constexpr int kDroppedBits = 23 - kSpec.mantissa_bits;
  static constexpr uint32_t kLeastExponent = static_cast<uint32_t>(kSpec.min_exponent() + 127)
                                             << 23;

  /// |q|, saturated, plus a power of two so large that the sum's last bit is the format's last bit:
  /// the addition rounds, to nearest even. NaN saturates too, since its bits are above infinity's.
  struct Rounding {
    VU exponent;
    VU anchor;
    VF sum;

    explicit HWY_INLINE Rounding(VF q) {
      const VU magnitude = hn::Min(hn::AndNot(set_bits(kSignBit), to_bits(q)),
                                   set_bits(std::bit_cast<uint32_t>(kSpec.max_finite)));
      exponent = hn::Max(hn::And(magnitude, set_bits(kInfinityBits)), set_bits(kLeastExponent));
      anchor = hn::Add(exponent, set_bits(static_cast<uint32_t>(kDroppedBits) << 23));
      sum = hn::Add(to_float(magnitude), to_float(anchor));
    }
  };

  static HWY_INLINE VU sign_of(VF q) { return hn::And(to_bits(q), set_bits(kSignBit)); }
};

/// Integers of 2 to 8 bits.
template <bool kUnsigned>
class IntLanes {
 public:
  explicit IntLanes(formats::Element element) : element_(element) {
    const formats::IntRange range = formats::int_range(element);
    hi_ = static_cast<float>(range.hi);
    magnitude_ = static_cast<float>(std::max(range.hi, -range.lo));
  }

  HWY_INLINE VF round(VF q) const {
    // The sum turns -0, which no code stands for, into 0.
    return hn::Add(clamped(q), hn::Zero(DF()));
  }

  HWY_INLINE VU encode(VF q) const { return hn::BitCast(DU(), hn::ConvertTo(DI(), clamped(q))); }

  HWY_INLINE VF decode(VU code) const {
    const VU low = hn::And(code, set_bits((1u << element_.bits) - 1));
    const VU sign = set_bits(kUnsigned ? 0 : 1u << (element_.bits - 1));
    const VU value = hn::Sub(hn::Xor(low, sign), sign);
    return hn::ConvertTo(DF(), hn::BitCast(DI(), value));
  }

 private:
  HWY_INLINE VF clamped(VF q) const {
    // First by the bits of the magnitude, which takes care of NaN and of the larger side, then by
    // value.
    const VU bound = to_bits(hn::Set(DF(), magnitude_));
    const VU magnitude = hn::Min(hn::AndNot(set_bits(kSignBit), to_bits(q)), bound);
    const VF rounded = hn::Round(hn::CopySignToAbs(to_float(magnitude), q));
    return kUnsigned ? hn::Max(rounded, hn::Zero(DF())) : hn::Min(rounded, hn::Set(DF(), hi_));
  }

  formats::Element element_;
  float hi_;
  float magnitude_;
};

template <class Lanes>
HWY_INLINE VPair round_pair(const Lanes& lanes, VPair x, VPair scale) {
  return {hn::Mul(lanes.round(hn::Div(x.first, scale.first)), scale.first),
          hn::Mul(lanes.round(hn::Div(x.second, scale.second)), scale.second)};
}

/// kInverse: scale is the reciprocal, a power of two, so that multiplying gives the quotient's
/// bits.
template <bool kInverse, class Lanes>
HWY_INLINE CodePair encode_pair(const Lanes& lanes, VPair x, VPair scale) {
  if constexpr (kInverse) {
    return {lanes.encode(hn::Mul(x.first, scale.first)),
            lanes.encode(hn::Mul(x.second, scale.second))};
  } else {
    return {lanes.encode(hn::Div(x.first, scale.first)),
            lanes.encode(hn::Div(x.second, scale.second))};
  }
}

/// The reciprocals of scales that are all powers of two, neither of them subnormal; false for
/// others.
HWY_INLINE bool invert_powers(const float* scales, int64_t count, float* inverse) {
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(scales[i]);
    if ((bits & 0x807fffffu) != 0 || bits - 0x00800000u >= 0x7e800000u) return false;
    inverse[i] = std::bit_cast<float>(0x7f000000u - bits);
  }
  return true;
}

template <class Lanes>
HWY_INLINE VPair decode_pair(const Lanes& lanes, CodePair codes, VPair scale) {
  return {hn::Mul(lanes.decode(codes.first), scale.first),
          hn::Mul(lanes.decode(codes.second), scale.second)};
}

/// function(lanes) with the lanes of an element.
template <class Function>
HWY_INLINE void with_element(formats::Element element, const Function& function) {
  switch (element.kind) {
    case formats::ElementKind::kInt:
      if (element.is_unsigned) return function(IntLanes<true>(element));
      return function(IntLanes<false>(element));
    case formats::ElementKind::kE4M3:
      return function(FloatLanes<formats::kE4M3Spec>(element));
    case formats::ElementKind::kE5M2:
      return function(FloatLanes<formats::kE5M2Spec>(element));
    case formats::ElementKind::kE2M1:
      return function(FloatLanes<formats::kE2M1Spec>(element));
    case formats::ElementKind::kE3M2:
      return function(FloatLanes<formats::kE3M2Spec>(element));
    case formats::ElementKind::kE2M3:
      return function(FloatLanes<formats::kE2M3Spec>(element));
  }
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // LATHE_KERNELS_ELEMENTS_INL_H_
