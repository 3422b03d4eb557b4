#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/nibbles_row.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/lanes-inl.h"
#include "kernels/cpu/rows.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE int64_t pack_pairs(const uint8_t*, int64_t, uint8_t*) { return 0; }
HWY_INLINE int64_t unpack_pairs(const uint8_t*, int64_t, uint8_t*) { return 0; }
HWY_INLINE int64_t pack_columns(const uint8_t*, const uint8_t*, int64_t, uint8_t*) { return 0; }
#else
// A 16-bit lane holds two codes: the even one in its low byte.
using DPair = hn::ScalableTag<uint16_t>;
using DTwice = hn::Repartition<uint8_t, DPair>;
using DOnce = hn::Rebind<uint8_t, DPair>;

/// As many pairs as fill vectors; returns how many.
HWY_INLINE int64_t pack_pairs(const uint8_t* codes, int64_t pairs, uint8_t* out) {
  const DPair d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    const auto pair = hn::BitCast(d, hn::LoadU(DTwice(), codes + 2 * i));
    const auto even = hn::And(pair, hn::Set(d, uint16_t{0x0f}));
    const auto odd = hn::And(hn::ShiftRight<4>(pair), hn::Set(d, uint16_t{0xf0}));
    hn::StoreU(hn::TruncateTo(DOnce(), hn::Or(even, odd)), DOnce(), out + i);
  }
  return i;
}

HWY_INLINE int64_t unpack_pairs(const uint8_t* packed, int64_t pairs, uint8_t* codes) {
  const DPair d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= pairs; i += lanes) {
    const auto byte = hn::PromoteTo(d, hn::LoadU(DOnce(), packed + i));
    const auto even = hn::And(byte, hn::Set(d, uint16_t{0x0f}));
    const auto odd = hn::ShiftLeft<4>(hn::And(byte, hn::Set(d, uint16_t{0xf0})));
    hn::StoreU(hn::BitCast(DTwice(), hn::Or(even, odd)), DTwice(), codes + 2 * i);
  }
  return i;
}

/// As many columns as fill vectors; returns how many.
HWY_INLINE int64_t pack_columns(const uint8_t* even, const uint8_t* odd, int64_t count,
                                uint8_t* out) {
  const DTwice d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d8));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto low = hn::And(hn::LoadU(d8, even + i), hn::Set(d8, uint8_t{0x0f}));
    const auto raised = hn::ShiftLeft<4>(hn::BitCast(DPair(), hn::LoadU(d8, odd + i)));
    hn::StoreU(hn::OrAnd(low, hn::BitCast(d8, raised), hn::Set(d8, uint8_t{0xf0})), d8, out + i);
  }
  return i;
}
#endif

void pack_nibbles_row(const uint8_t* codes, int64_t count, uint8_t* out) {
  const int64_t pairs = count / 2;
  for (int64_t i = pack_pairs(codes, pairs, out); i < pairs; ++i) {
    out[i] = static_cast<uint8_t>((codes[2 * i] & 0xf) | (codes[2 * i + 1] << 4));
  }
  if (count % 2 != 0) out[pairs] = codes[count - 1] & 0xf;
}

void unpack_nibbles_row(const uint8_t* packed, int64_t count, uint8_t* codes) {
  const int64_t pairs = count / 2;
  for (int64_t i = unpack_pairs(packed, pairs, codes); i < pairs; ++i) {
    codes[2 * i] = packed[i] & 0xf;
    codes[2 * i + 1] = packed[i] >> 4;
  }
  if (count % 2 != 0) codes[count - 1] = packed[pairs] & 0xf;
}

void pack_nibble_columns_row(const uint8_t* even, const uint8_t* odd, int64_t count, uint8_t* out) {
  for (int64_t i = pack_columns(even, odd, count, out); i < count; ++i) {
    out[i] = static_cast<uint8_t>((even[i] & 0xf) | (odd[i] << 4));
  }
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {
HWY_EXPORT(pack_nibbles_row);
HWY_EXPORT(unpack_nibbles_row);
HWY_EXPORT(pack_nibble_columns_row);

void pack_nibbles_row(const uint8_t* codes, int64_t count, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(pack_nibbles_row)(codes, count, out);
}

void unpack_nibbles_row(const uint8_t* packed, int64_t count, uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(unpack_nibbles_row)(packed, count, codes);
}

void pack_nibble_columns_row(const uint8_t* even, const uint8_t* odd, int64_t count, uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(pack_nibble_columns_row)(even, odd, count, out);
}
}  // namespace lathe::kernels
#endif
