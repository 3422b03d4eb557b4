#include "formats/element.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "formats/float_element.h"
#include "formats/int_element.h"

namespace lathe::formats {

namespace {
constexpr std::array<std::pair<std::string_view, Element>, 5> kFloatNames{{
    {"e4m3", kE4M3},
    {"e5m2", kE5M2},
    {"e2m1", kE2M1},
    {"e3m2", kE3M2},
    {"e2m3", kE2M3},
}};

bool is_int(Element element) { return element.kind == ElementKind::kInt; }
}  // namespace

float max_bound(Element element) {
  return is_int(element) ? static_cast<float>(int_range(element).hi)
                         : float_spec(element.kind).max_finite;
}

uint8_t encode(Element element, float value) {
  return is_int(element) ? encode_int(element, value)
                         : encode_float(float_spec(element.kind), value);
}

float decode(Element element, uint8_t code) {
  return is_int(element) ? decode_int(element, code) : decode_float(float_spec(element.kind), code);
}

std::string element_name(Element element) {
  if (is_int(element)) {
    return fmt::format("{}int{}{}", element.is_unsigned ? "u" : "", element.bits,
                       element.narrow_range ? "_narrow" : "");
  }
  for (const auto& [name, named] : kFloatNames) {
    if (named.kind == element.kind) return std::string(name);
  }
  return fmt::format("element{}", static_cast<int>(element.kind));
}

std::optional<Element> element_from_name(std::string_view name) {
  for (const auto& [known, element] : kFloatNames) {
    if (name == known) return element;
  }
  for (int bits = 2; bits <= 8; ++bits) {
    for (const bool narrow : {false, true}) {
      for (const bool is_unsigned : {false, true}) {
        Element element = int_element(bits);
        element.narrow_range = narrow;
        element.is_unsigned = is_unsigned;
        if (name == element_name(element)) return element;
      }
    }
  }
  return std::nullopt;
}

}  // namespace lathe::formats
