#include "tokenizer/json_number.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/checked.h"
#include "base/error.h"

namespace lathe::tokenizer {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The number's digits as far as they fit a uint64, and the power of ten that belongs to them.
struct Decimal {
  uint64_t significand = 0;
  int64_t exponent = 0;
};

/// Reads the digits before and behind the point. Digits that no longer fit count as zeros before
/// the point and are dropped behind it.
Decimal read_digits(std::string_view text, size_t& i) {
  Decimal result;
  bool full = false, fraction = false;
  for (; i < text.size() && (is_digit(text[i]) || text[i] == '.'); ++i) {
    if (text[i] == '.') {
      fraction = true;
      continue;
    }
    const auto scaled = checked_mul<uint64_t>(result.significand, 10);
    const auto sum = scaled ? checked_add<uint64_t>(*scaled, static_cast<uint64_t>(text[i] - '0'))
                            : std::nullopt;
    full = full || !sum;
    if (full) {
      result.exponent += fraction ? 0 : 1;
    } else {
      result.significand = *sum;
      result.exponent -= fraction ? 1 : 0;
    }
  }
  return result;
}

constexpr int64_t kMaxPower = 308;

double power_of_ten(int64_t exponent) {
  static const auto powers = [] {
    std::array<double, kMaxPower + 1> result{};
    for (size_t i = 0; i < result.size(); ++i)
      result[i] = std::strtod(fmt::format("1e{}", i).c_str(), nullptr);
    return result;
  }();
  return powers[static_cast<size_t>(exponent)];
}

}  // namespace

double parse_serde_float(std::string_view number) {
  constexpr int64_t kMaxExponent = 100'000;
  size_t i = number.starts_with('-') ? 1 : 0;
  auto [significand, exponent] = read_digits(number, i);
  if (i < number.size()) {  // e or E
    const long written = std::strtol(std::string(number.substr(i + 1)).c_str(), nullptr, 10);
    exponent += std::clamp<int64_t>(written, -kMaxExponent, kMaxExponent);
  }
  auto value = static_cast<double>(significand);
  while (exponent < -kMaxPower && value != 0.0) {
    value /= 1e308;
    exponent += kMaxPower;
  }
  if (exponent >= 0) {
    value *= exponent <= kMaxPower ? power_of_ten(exponent) : value == 0.0 ? 1.0 : HUGE_VAL;
  } else if (value != 0.0) {
    value /= power_of_ten(-exponent);
  }
  if (std::isinf(value)) throw_data("the number {} is out of range", number);
  return number.starts_with('-') ? -value : value;
}

}  // namespace lathe::tokenizer
