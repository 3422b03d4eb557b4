#include "cli/value_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace lathe::cli {

std::string bytes_text(double bytes) {
  constexpr std::array<std::string_view, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f} {}", bytes, decimals, kUnits[unit]);
}

std::string count_text(int64_t count) {
  constexpr std::array<std::string_view, 4> kUnits = {"", " thousand", " million", " billion"};
  auto scaled = static_cast<double>(count);
  size_t unit = 0;
  while (scaled >= 999.95 && unit + 1 < kUnits.size()) {
    scaled /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", scaled, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string duration_text(double seconds) {
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::lround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

std::string measured_text(double value, double error) {
  if (!std::isfinite(error) || error <= 0) return fmt::format("{:.4g} +/- {:.2g}", value, error);
  const int decimals = std::clamp(2 - static_cast<int>(std::floor(std::log10(error))), 0, 8);
  return fmt::format("{:.{}f} +/- {:.{}f}", value, decimals, error, decimals);
}

std::string shape_text(std::span<const int64_t> shape) {
  if (shape.empty()) return "scalar";
  return fmt::format("{}", fmt::join(shape, " x "));
}

}  // namespace lathe::cli
