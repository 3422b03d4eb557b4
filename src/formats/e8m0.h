#pragma once

#include <cstdint>

namespace lathe::formats {

/// E8M0 of OCP Microscaling Formats 1.0, the scale of the MX formats: 2^(code - 127), 255 is NaN.
inline constexpr uint8_t kE8M0One = 127;

/// The smallest code whose scale maps `amax` into [-bound, bound]: ceil(log2(amax / bound)) + 127,
/// computed exactly, at least 0. 1.0 if amax is 0, infinite or NaN.
uint8_t e8m0_from_amax(float amax, float bound);

/// 2^(code - 127), exact (0 is a float32 subnormal); NaN for 255.
float e8m0_decode(uint8_t code);

}  // namespace lathe::formats
