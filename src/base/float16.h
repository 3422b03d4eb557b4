#pragma once

#include <bit>
#include <cstdint>

namespace lathe {

/// bfloat16 bits to float32: exact.
inline float float_from_bf16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

/// float32 to bfloat16 bits, round to nearest even; NaN stays NaN (quiet).
inline uint16_t bf16_from_float(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const uint32_t quiet = (bits >> 16) | 0x0040u;
  return static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

/// IEEE binary16 bits to float32: exact.
inline float float_from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t shifted = static_cast<uint32_t>(bits & 0x7fffu) << 13;
  const uint32_t normal = shifted + (112u << 23);
  const uint32_t special = shifted | 0x7f800000u;
  // 2^-14 * (1 + mantissa) - 2^-14: no subnormal float32 on the way.
  const uint32_t subnormal =
      std::bit_cast<uint32_t>(std::bit_cast<float>(shifted + (113u << 23)) - 0x1p-14f);
  const uint32_t magnitude = shifted < (1u << 23)     ? subnormal
                             : shifted >= (31u << 23) ? special
                                                      : normal;
  return std::bit_cast<float>(sign | magnitude);
}

/// float32 to IEEE binary16 bits, round to nearest even, overflow to infinity; NaN stays NaN.
uint16_t f16_from_float(float value);

}  // namespace lathe
