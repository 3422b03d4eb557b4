#include "formats/float_element.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lathe::formats {

namespace {
constexpr uint32_t kMagnitude = 0x7fffffffu;
constexpr uint32_t kInfinity = 0x7f800000u;
constexpr uint32_t kQuietNan = 0x7fc00000u;

/// 2^exponent for exponents of normal floats.
float power_of_two(int exponent) {
  return std::bit_cast<float>(static_cast<uint32_t>(exponent + 127) << 23);
}
}  // namespace

const FloatSpec& float_spec(ElementKind kind) {
  switch (kind) {
    case ElementKind::kE4M3:
      return kE4M3Spec;
    case ElementKind::kE5M2:
      return kE5M2Spec;
    case ElementKind::kE2M1:
      return kE2M1Spec;
    case ElementKind::kE3M2:
      return kE3M2Spec;
    case ElementKind::kE2M3:
      return kE2M3Spec;
    case ElementKind::kInt:
      break;
  }
  throw_internal("element kind {} is not a float", static_cast<int>(kind));
}

uint8_t encode_float(const FloatSpec& spec, float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint8_t sign = bits > kMagnitude ? spec.sign_code() : uint8_t{0};
  const uint32_t magnitude = bits & kMagnitude;
  if (magnitude > kInfinity && spec.has_nan()) return sign | spec.nan_code;
  if (magnitude >= std::bit_cast<uint32_t>(spec.max_finite)) return sign | spec.max_code;

  // Codes count steps of 2^(exponent - mantissa_bits); each exponent adds 2^mantissa_bits to the
  // count, and rounding up into the next exponent is the carry of that addition.
  const int exponent = std::max(static_cast<int>(magnitude >> 23) - 127, spec.min_exponent());
  const float steps = std::bit_cast<float>(magnitude) * power_of_two(spec.mantissa_bits - exponent);
  const int count = static_cast<int>(std::nearbyint(steps));
  return sign |
         static_cast<uint8_t>(count + ((exponent - spec.min_exponent()) << spec.mantissa_bits));
}

float decode_float(const FloatSpec& spec, uint8_t code) {
  const uint32_t sign = (code & spec.sign_code()) != 0 ? ~kMagnitude : 0;
  const int magnitude = code & (spec.sign_code() - 1);
  if (magnitude > spec.max_code) {
    const bool infinite = spec.has_infinity && magnitude == spec.max_code + 1;
    return std::bit_cast<float>(sign | (infinite ? kInfinity : kQuietNan));
  }
  const int field = std::max(magnitude >> spec.mantissa_bits, 1);
  const int count = magnitude - ((field - 1) << spec.mantissa_bits);
  const float value =
      static_cast<float>(count) * power_of_two(field - spec.bias - spec.mantissa_bits);
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

}  // namespace lathe::formats
