#include "formats/e8m0.h"

#include <algorithm>
#include <bit>

namespace lathe::formats {

uint8_t e8m0_from_amax(float amax, float bound) {
  constexpr uint32_t kInfinity = 0x7f800000u;
  constexpr uint32_t kMantissa = 0x007fffffu;
  const uint32_t bits = std::bit_cast<uint32_t>(amax);
  const uint32_t bound_bits = std::bit_cast<uint32_t>(bound);
  if (bits == 0 || bits >= kInfinity) return kE8M0One;
  // The difference of the exponents, and one more if the mantissa is larger too. A subnormal amax
  // (exponent field 0) lands below the smallest scale, as it should.
  const int exponent = static_cast<int>(bits >> 23) - static_cast<int>(bound_bits >> 23);
  const int carry = (bits & kMantissa) > (bound_bits & kMantissa) ? 1 : 0;
  return static_cast<uint8_t>(std::clamp(exponent + carry + 127, 0, 254));
}

float e8m0_decode(uint8_t code) {
  if (code == 0) return std::bit_cast<float>(0x00400000u);
  if (code == 255) return std::bit_cast<float>(0x7fc00000u);
  return std::bit_cast<float>(static_cast<uint32_t>(code) << 23);
}

}  // namespace lathe::formats
