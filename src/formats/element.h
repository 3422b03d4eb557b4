#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lathe::formats {

/// The families of element types. Floats are named by their exponent and mantissa bits.
enum class ElementKind : uint8_t { kInt, kE4M3, kE5M2, kE2M1, kE3M2, kE2M3 };

/// What one quantized number is. A code is one byte that holds it, in its low `bits` bits; integers
/// are sign-extended to the byte by encode, and decode looks at the low bits alone.
struct Element {
  ElementKind kind = ElementKind::kInt;
  uint8_t bits = 8;
  bool narrow_range = false;  // integers: [-hi, hi] in place of [-hi - 1, hi]
  bool is_unsigned = false;   // integers: [0, 2^bits - 1]; negative values become 0

  bool operator==(const Element&) const = default;
};

/// Integers of 2 to 8 bits.
constexpr Element int_element(int bits) {
  return {.kind = ElementKind::kInt, .bits = static_cast<uint8_t>(bits)};
}
inline constexpr Element kInt8 = int_element(8);
inline constexpr Element kInt4 = int_element(4);
inline constexpr Element kE4M3{.kind = ElementKind::kE4M3, .bits = 8};
inline constexpr Element kE5M2{.kind = ElementKind::kE5M2, .bits = 8};
inline constexpr Element kE2M1{.kind = ElementKind::kE2M1, .bits = 4};
inline constexpr Element kE3M2{.kind = ElementKind::kE3M2, .bits = 6};
inline constexpr Element kE2M3{.kind = ElementKind::kE2M3, .bits = 6};

/// The largest value of the element: 448, 57344, 6, 28, 7.5, 2^(bits-1) - 1 (2^bits - 1 if
/// unsigned). An amax is scaled onto it.
float max_bound(Element element);

/// The code of the element nearest to `value` (ties to the even code), saturating at the largest
/// finite value: also for infinities. NaN keeps its sign and becomes the NaN code of E4M3 (0x7f)
/// and E5M2 (0x7e); the elements without a NaN saturate. A zero keeps its sign in the floats.
uint8_t encode(Element element, float value);

/// The value of a code, exact.
float decode(Element element, uint8_t code);

/// "int8", "uint4", "int8_narrow", "e4m3", ...
std::string element_name(Element element);
std::optional<Element> element_from_name(std::string_view name);

}  // namespace lathe::formats
