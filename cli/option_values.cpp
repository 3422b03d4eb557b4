#include "cli/option_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string>
#include <string_view>

namespace lathe::cli {
namespace {

/// Bytes of a unit, or 0.
uint64_t unit_bytes(std::string unit) {
  std::transform(unit.begin(), unit.end(), unit.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (unit.empty() || unit == "b") return 1;
  const size_t power = std::string_view("kmgt").find(unit.front());
  if (power == std::string_view::npos) return 0;
  const std::string_view rest = std::string_view(unit).substr(1);
  const bool known = rest.empty() || rest == "b" || rest == "i" || rest == "ib";
  if (!known) return 0;
  const uint64_t factor = rest.starts_with('i') ? 1024 : 1000;
  uint64_t bytes = 1;
  for (size_t i = 0; i <= power; ++i) bytes *= factor;
  return bytes;
}

/// Replaces "5GB" by its bytes; an error text, or "".
std::string to_bytes(std::string& text) {
  double number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  const auto used = static_cast<size_t>(end - text.data());
  const double bytes = number * static_cast<double>(unit_bytes(text.substr(used)));
  constexpr double kMaxBytes = 9e18;
  if (status != std::errc() || !(bytes >= 1 && bytes <= kMaxBytes)) {
    return fmt::format("expected a size such as 5GB or 500MB, found \"{}\"", text);
  }
  text = fmt::format("{}", static_cast<uint64_t>(bytes));
  return {};
}

}  // namespace

CLI::Validator at_least_one() {
  return CLI::Validator(
      [](std::string& text) {
        int64_t number = 0;
        const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
        const bool whole = status == std::errc() && end == text.data() + text.size();
        if (whole && number >= 1) return std::string();
        return fmt::format("expected a whole number of at least 1, found \"{}\"", text);
      },
      "");
}

CLI::Validator byte_size() { return CLI::Validator(to_bytes, ""); }

CLI::Validator one_of(std::vector<std::string> words) {
  return CLI::Validator(
      [words = std::move(words)](std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) return std::string();
        return fmt::format("expected {}, found \"{}\"", fmt::join(words, " or "), text);
      },
      "");
}

}  // namespace lathe::cli
