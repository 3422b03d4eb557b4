#pragma once

#include <cstdint>

#include "formats/element.h"

namespace lathe::formats {

/// The values that an integer element can take: lo and hi, both included.
struct IntRange {
  int lo;
  int hi;
};
IntRange int_range(Element element);

/// clamp(rint(value), lo, hi), ties to even. NaN saturates by its sign.
uint8_t encode_int(Element element, float value);
float decode_int(Element element, uint8_t code);

}  // namespace lathe::formats
