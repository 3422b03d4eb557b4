#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <span>

namespace lathe {

/// a + b and a * b, or nothing if the result does not fit: for numbers read from files.
template <std::integral T>
std::optional<T> checked_add(T a, T b) {
  T result;
  if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
  return result;
}

template <std::integral T>
std::optional<T> checked_mul(T a, T b) {
  T result;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// The product of a shape's sizes; nothing if one is negative or the product overflows int64. []
/// has one element.
inline std::optional<int64_t> checked_numel(std::span<const int64_t> shape) {
  int64_t numel = 1;
  for (int64_t size : shape) {
    if (size < 0) return std::nullopt;
    const auto product = checked_mul(numel, size);
    if (!product) return std::nullopt;
    numel = *product;
  }
  return numel;
}

/// ceil(a / b) for a >= 0, b > 0.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace lathe
