#include "io/yaml_scalar.h"

#include <charconv>
#include <limits>

namespace lathe::io {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kDigits = "0123456789";

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

std::string_view without_sign(std::string_view text) {
  if (text.starts_with('+') || text.starts_with('-')) text.remove_prefix(1);
  return text;
}

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of(kDigits) == text.npos;
}

template <typename T>
std::optional<T> parse_number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

double parse_double(std::string_view text) {
  double value = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc::result_out_of_range) return value;
  // from_chars leaves the value alone: too large, or too small to tell from zero.
  const size_t exponent = text.find_first_of("eE");
  const bool small =
      exponent != text.npos ? text.substr(exponent + 1).starts_with('-') : text.find('.') < 2;
  const double magnitude = small ? 0.0 : std::numeric_limits<double>::infinity();
  return text.starts_with('-') ? -magnitude : magnitude;
}

std::optional<Json> parse_integer(std::string_view text) {
  for (const auto& [prefix, base] : {std::pair{"0x", 16}, std::pair{"0o", 8}}) {
    if (!text.starts_with(prefix)) continue;
    const auto value = parse_number<uint64_t>(text.substr(2), base);
    return value ? std::optional<Json>(*value) : std::nullopt;
  }
  if (!all_digits(without_sign(text))) return std::nullopt;
  if (const auto value = parse_number<int64_t>(text.starts_with('+') ? text.substr(1) : text))
    return *value;
  if (const auto value = parse_number<uint64_t>(without_sign(text));
      value && !text.starts_with('-'))
    return *value;
  return parse_double(text);
}

/// [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
bool is_decimal_float(std::string_view text) {
  text = without_sign(text);
  const size_t exponent = text.find_first_of("eE");
  if (exponent != text.npos && !all_digits(without_sign(text.substr(exponent + 1)))) return false;
  const std::string_view mantissa = text.substr(0, exponent);
  const size_t point = mantissa.find('.');
  if (point == mantissa.npos) return all_digits(mantissa);
  const std::string_view whole = mantissa.substr(0, point);
  const std::string_view fraction = mantissa.substr(point + 1);
  if (whole.empty()) return all_digits(fraction);
  return all_digits(whole) && (fraction.empty() || all_digits(fraction));
}

std::optional<Json> parse_float(std::string_view text) {
  if (is_one_of(text, {".nan", ".NaN", ".NAN"})) return std::numeric_limits<double>::quiet_NaN();
  if (is_one_of(without_sign(text), {".inf", ".Inf", ".INF"})) {
    const double infinity = std::numeric_limits<double>::infinity();
    return text.starts_with('-') ? -infinity : infinity;
  }
  if (!is_decimal_float(text)) return std::nullopt;
  return parse_double(text);
}

bool is_null(std::string_view text) { return is_one_of(text, {"", "~", "null", "Null", "NULL"}); }

std::optional<Json> parse_bool(std::string_view text) {
  if (is_one_of(text, {"true", "True", "TRUE"})) return true;
  if (is_one_of(text, {"false", "False", "FALSE"})) return false;
  return std::nullopt;
}

}  // namespace

Json plain_yaml_scalar(const std::string& text) {
  if (is_null(text)) return nullptr;
  if (auto value = parse_bool(text)) return *std::move(value);
  if (auto value = parse_integer(text)) return *std::move(value);
  if (auto value = parse_float(text)) return *std::move(value);
  return text;
}

std::optional<Json> tagged_yaml_scalar(std::string_view name, const std::string& text) {
  if (name == "str") return text;
  if (name == "bool") return parse_bool(text);
  if (name == "int") return parse_integer(text);
  if (name == "float") return parse_float(text);
  if (name == "null" && is_null(text)) return nullptr;
  return std::nullopt;
}

}  // namespace lathe::io
