#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/scale_row.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/elements-inl.h"
#include "kernels/cpu/rows.h"
// clang-format on

#include "formats/e8m0.h"

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

using E4M3Lanes = FloatLanes<formats::kE4M3Spec>;

/// 2^(code - 127); the ends of the range are a subnormal and NaN.
HWY_INLINE VF e8m0_value(VU code) {
  const VU normal = select_above(code, 0, hn::ShiftLeft<23>(code), set_bits(0x00400000));
  return to_float(select_above(code, 254, set_bits(kQuietNanBits), normal));
}

/// `code` where amax is positive and finite, `one` elsewhere.
HWY_INLINE VU code_if_range(VU amax, VU code, uint8_t one) {
  const VU some = select_above(amax, 0, code, set_bits(one));
  return select_above(amax, kInfinityBits - 1, set_bits(one), some);
}

struct TwoLevel {
  float bound;
  float global_scale;

  HWY_INLINE VU encode(VU amax) const {
    const VF scale = hn::Div(to_float(amax), hn::Set(DF(), bound * global_scale));
    const VF clamped = hn::Max(scale, hn::Set(DF(), 0x1p-9f));
    const E4M3Lanes lanes(formats::kE4M3);
    return code_if_range(amax, lanes.encode(clamped), 0x38);
  }
  HWY_INLINE VF decode(VU code) const {
    return hn::Mul(E4M3Lanes(formats::kE4M3).decode(code), hn::Set(DF(), global_scale));
  }
};

struct E8M0 {
  float bound;

  HWY_INLINE VU encode(VU amax) const {
    const uint32_t bound_bits = std::bit_cast<uint32_t>(bound);
    const DI di;
    const auto exponent = hn::BitCast(di, hn::ShiftRight<23>(amax));
    const auto base = hn::Set(di, 127 - static_cast<int32_t>(bound_bits >> 23));
    const VU mantissa = hn::And(amax, set_bits(0x007fffff));
    const VU carry = select_above(mantissa, bound_bits & 0x007fffff, set_bits(1), set_bits(0));
    const auto code = hn::Add(hn::Add(exponent, base), hn::BitCast(di, carry));
    const auto clamped = hn::Min(hn::Max(code, hn::Zero(di)), hn::Set(di, 254));
    return code_if_range(amax, hn::BitCast(DU(), clamped), formats::kE8M0One);
  }
  HWY_INLINE VF decode(VU code) const { return e8m0_value(code); }
};

/// The codes of one vector's amax values, and the scales that they stand for.
template <class Rule>
HWY_INLINE void scale_lanes(const Rule& rule, const float* amax, uint8_t* codes, float* scales) {
  const VU code = rule.encode(to_bits(hn::LoadU(DF(), amax)));
  store_codes(code, codes);
  hn::StoreU(rule.decode(code), DF(), scales);
}

template <class Rule>
HWY_INLINE void scales_row(const Rule& rule, const float* amax, int64_t count, uint8_t* codes,
                           float* scales) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) scale_lanes(rule, amax + i, codes + i, scales + i);
  if (i < count) {
    const auto left = static_cast<size_t>(count - i);
    float rest[kMaxLanes] = {};
    uint8_t rest_codes[kMaxLanes];
    float rest_scales[kMaxLanes];
    std::memcpy(rest, amax + i, left * sizeof(float));
    scale_lanes(rule, rest, rest_codes, rest_scales);
    std::memcpy(codes + i, rest_codes, left);
    std::memcpy(scales + i, rest_scales, left * sizeof(float));
  }
}

template <class Rule>
HWY_INLINE void decode_scales(const Rule& rule, const uint8_t* codes, int64_t count,
                              float* scales) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(rule.decode(load_codes(codes + i)), DF(), scales + i);
  }
  if (i < count) {
    const auto left = static_cast<size_t>(count - i);
    uint8_t rest[kMaxLanes] = {};
    float rest_scales[kMaxLanes];
    std::memcpy(rest, codes + i, left);
    hn::StoreU(rule.decode(load_codes(rest)), DF(), rest_scales);
    std::memcpy(scales + i, rest_scales, left * sizeof(float));
  }
}

void two_level_scales_row(const float* amax, int64_t count, float bound, float global_scale,
                          uint8_t* codes, float* scales) {
  scales_row(TwoLevel{bound, global_scale}, amax, count, codes, scales);
}

void e8m0_scales_row(const float* amax, int64_t count, float bound, uint8_t* codes, float* scales) {
  scales_row(E8M0{bound}, amax, count, codes, scales);
}

void two_level_values_row(const uint8_t* codes, int64_t count, float global_scale, float* scales) {
  decode_scales(TwoLevel{1.0f, global_scale}, codes, count, scales);
}

void e8m0_values_row(const uint8_t* codes, int64_t count, float* scales) {
  decode_scales(E8M0{1.0f}, codes, count, scales);
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {
HWY_EXPORT(two_level_scales_row);
HWY_EXPORT(e8m0_scales_row);
HWY_EXPORT(two_level_values_row);
HWY_EXPORT(e8m0_values_row);

void two_level_scales_row(const float* amax, int64_t count, float bound, float global_scale,
                          uint8_t* codes, float* scales) {
  HWY_DYNAMIC_DISPATCH(two_level_scales_row)(amax, count, bound, global_scale, codes, scales);
}

void e8m0_scales_row(const float* amax, int64_t count, float bound, uint8_t* codes, float* scales) {
  HWY_DYNAMIC_DISPATCH(e8m0_scales_row)(amax, count, bound, codes, scales);
}

void two_level_values_row(const uint8_t* codes, int64_t count, float global_scale, float* scales) {
  HWY_DYNAMIC_DISPATCH(two_level_values_row)(codes, count, global_scale, scales);
}

void e8m0_values_row(const uint8_t* codes, int64_t count, float* scales) {
  HWY_DYNAMIC_DISPATCH(e8m0_values_row)(codes, count, scales);
}
}  // namespace lathe::kernels
#endif
