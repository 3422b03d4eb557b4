#pragma once

#include <bit>
#include <cstdint>

#include "formats/element.h"

namespace lathe::formats {

/// The layout of a small float: sign, exponent, mantissa, from the high bit down, with subnormals.
/// E4M3 ("fn") and E5M2: OCP 8-bit Floating Point Specification 1.0; E2M1, E3M2, E2M3: OCP
/// Microscaling Formats 1.0.
struct FloatSpec {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  float max_finite;
  uint8_t max_code;   // of max_finite
  uint8_t nan_code;   // that encode gives; 0: there is no NaN
  bool has_infinity;  // the code after max_code

  constexpr int bits() const { return 1 + exponent_bits + mantissa_bits; }
  constexpr uint8_t sign_code() const { return static_cast<uint8_t>(1u << (bits() - 1)); }
  /// The exponent of the smallest normal, which subnormals share.
  constexpr int min_exponent() const { return 1 - bias; }
  constexpr bool has_nan() const { return nan_code != 0; }
};

inline constexpr FloatSpec kE4M3Spec{4, 3, 7, 448.0f, 0x7e, 0x7f, false};
inline constexpr FloatSpec kE5M2Spec{5, 2, 15, 57344.0f, 0x7b, 0x7e, true};
inline constexpr FloatSpec kE2M1Spec{2, 1, 1, 6.0f, 0x07, 0, false};
inline constexpr FloatSpec kE3M2Spec{3, 2, 3, 28.0f, 0x1f, 0, false};
inline constexpr FloatSpec kE2M3Spec{2, 3, 1, 7.5f, 0x1f, 0, false};

/// The spec of a float element; InternalError for an integer.
const FloatSpec& float_spec(ElementKind kind);

/// The reference that every other implementation is tested against: see encode and decode of
/// element.h.
uint8_t encode_float(const FloatSpec& spec, float value);
float decode_float(const FloatSpec& spec, uint8_t code);

}  // namespace lathe::formats
