#pragma once

#include <cstdint>

#include "formats/element.h"
#include "lathe/dtype.h"

/// The vector code: each function works on `count` contiguous elements (x and y are F32, BF16 or
/// F16) and picks the best instruction set at run time. The elements form blocks of `block` (the
/// last may be shorter), and scales[i] is the float32 scale of block i. All give the bits of the
/// scalar reference in formats/.
namespace lathe::kernels {

struct ConstElements {
  const void* data;
  DType dtype;
  int64_t count;
};

struct MutableElements {
  void* data;
  DType dtype;
  int64_t count;
};

/// amax[i] = max(amax[i], |x| of block i); NaN and infinity win, by their bits.
void amax_row(ConstElements x, int64_t block, float* amax);

/// y = decode(encode(x / scale)) * scale. `stream`: y is too large to stay in the cache.
void round_row(formats::Element element, ConstElements x, int64_t block, const float* scales,
               void* y, bool stream);

/// codes = encode(x / scale).
void encode_row(formats::Element element, ConstElements x, int64_t block, const float* scales,
                uint8_t* codes);

/// y = decode(codes) * scale.
void decode_row(formats::Element element, const uint8_t* codes, int64_t block, const float* scales,
                MutableElements y);

/// The stored scale codes of `count` blocks and the float32 scales that they stand for.
void two_level_scales_row(const float* amax, int64_t count, float bound, float global_scale,
                          uint8_t* codes, float* scales);
void e8m0_scales_row(const float* amax, int64_t count, float bound, uint8_t* codes, float* scales);

/// The float32 scales that stored codes stand for: ScalesView::effective.
void two_level_values_row(const uint8_t* codes, int64_t count, float global_scale, float* scales);
void e8m0_values_row(const uint8_t* codes, int64_t count, float* scales);

/// Two 4-bit codes a byte, even one in the low nibble; an odd last code gets a zero beside it.
void pack_nibbles_row(const uint8_t* codes, int64_t count, uint8_t* out);
void unpack_nibbles_row(const uint8_t* packed, int64_t count, uint8_t* codes);

/// The 4-bit codes of two rows, column by column: the even row in the low nibble.
void pack_nibble_columns_row(const uint8_t* even, const uint8_t* odd, int64_t count, uint8_t* out);

}  // namespace lathe::kernels
