#include "formats/int_element.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace lathe::formats {

IntRange int_range(Element element) {
  check_internal(element.kind == ElementKind::kInt && element.bits >= 2 && element.bits <= 8,
                 "int_range of element kind {} with {} bits", static_cast<int>(element.kind),
                 element.bits);
  if (element.is_unsigned) return {0, (1 << element.bits) - 1};
  const int hi = (1 << (element.bits - 1)) - 1;
  return {element.narrow_range ? -hi : -hi - 1, hi};
}

uint8_t encode_int(Element element, float value) {
  const IntRange range = int_range(element);
  if (std::isnan(value)) return static_cast<uint8_t>(std::signbit(value) ? range.lo : range.hi);
  const float rounded = std::nearbyint(value);
  const float clamped =
      std::clamp(rounded, static_cast<float>(range.lo), static_cast<float>(range.hi));
  return static_cast<uint8_t>(static_cast<int>(clamped));
}

float decode_int(Element element, uint8_t code) {
  const unsigned low = code & ((1u << element.bits) - 1);
  const unsigned sign = element.is_unsigned ? 0 : 1u << (element.bits - 1);
  return static_cast<float>(static_cast<int>(low ^ sign) - static_cast<int>(sign));
}

}  // namespace lathe::formats
