#include "frontends/huggingface/config.h"

#include <cmath>
#include <limits>

#include "base/error.h"
#include "io/json.h"

namespace lathe::frontends {
namespace {

constexpr int64_t kLargestSize = std::numeric_limits<int32_t>::max();
constexpr size_t kLongestQuote = 80;

}  // namespace

ConfigReader::ConfigReader(const nlohmann::ordered_json& json, std::string source_name)
    : ConfigReader(json, std::move(source_name), "") {}

ConfigReader::ConfigReader(const nlohmann::ordered_json& json, std::string source_name,
                           std::string prefix)
    : json_(&json), source_name_(std::move(source_name)), prefix_(std::move(prefix)) {
  if (!json.is_object()) throw_data("{}: expected a JSON object", source_name_);
}

const nlohmann::ordered_json* ConfigReader::find(std::string_view key) const {
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

const nlohmann::ordered_json& ConfigReader::at(std::string_view key,
                                               std::string_view expected) const {
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) fail(key, expected);
  return *value;
}

std::string ConfigReader::found(std::string_view key) const {
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) return "nothing";
  const std::string text = io::dump_json(*value, -1);
  if (text.size() <= kLongestQuote) return text;
  return fmt::format("{}...", std::string_view(text).substr(0, kLongestQuote));
}

void ConfigReader::fail(std::string_view key, std::string_view expected) const {
  throw_data("{}: \"{}{}\" must be {}, found {}", source_name_, prefix_, key, expected, found(key));
}

void ConfigReader::unsupported(std::string_view key, std::string_view detail) const {
  throw_user("{}: \"{}{}\" is {}, which is not supported ({})", source_name_, prefix_, key,
             found(key), detail);
}

int64_t ConfigReader::integer(std::string_view key, int64_t least) const {
  const std::string_view expected =
      least > 0 ? "a positive integer below 2^31" : "a non-negative integer below 2^31";
  const nlohmann::ordered_json& value = at(key, expected);
  const bool fits = value.is_number_unsigned()
                        ? value.get<uint64_t>() <= static_cast<uint64_t>(kLargestSize)
                        : value.is_number_integer() && value.get<int64_t>() <= kLargestSize;
  if (!fits || value.get<int64_t>() < least) fail(key, expected);
  return value.get<int64_t>();
}

int64_t ConfigReader::size(std::string_view key) const { return integer(key, 1); }

int64_t ConfigReader::size_or(std::string_view key, int64_t absent) const {
  return has(key) ? size(key) : absent;
}

std::optional<int64_t> ConfigReader::find_size(std::string_view key) const {
  return has(key) ? std::optional(size(key)) : std::nullopt;
}

int64_t ConfigReader::count_or(std::string_view key, int64_t absent) const {
  return has(key) ? integer(key, 0) : absent;
}

double ConfigReader::positive(std::string_view key) const {
  constexpr std::string_view kExpected = "a finite number above 0";
  const nlohmann::ordered_json& value = at(key, kExpected);
  if (!value.is_number()) fail(key, kExpected);
  const auto number = value.get<double>();
  if (!std::isfinite(number) || number <= 0) fail(key, kExpected);
  return number;
}

double ConfigReader::positive_or(std::string_view key, double absent) const {
  return has(key) ? positive(key) : absent;
}

std::optional<double> ConfigReader::find_positive(std::string_view key) const {
  return has(key) ? std::optional(positive(key)) : std::nullopt;
}

bool ConfigReader::flag_or(std::string_view key, bool absent) const {
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) fail(key, "true or false");
  return value->get<bool>();
}

void ConfigReader::refuse_flag(std::string_view key, std::string_view detail) const {
  if (flag_or(key, false)) unsupported(key, detail);
}

std::string ConfigReader::text(std::string_view key) const {
  const nlohmann::ordered_json& value = at(key, "a string");
  if (!value.is_string()) fail(key, "a string");
  return value.get<std::string>();
}

std::string ConfigReader::text_or(std::string_view key, std::string absent) const {
  return has(key) ? text(key) : std::move(absent);
}

std::optional<std::vector<std::string>> ConfigReader::find_texts(std::string_view key) const {
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) fail(key, "a list of strings");
  std::vector<std::string> texts;
  for (const auto& item : *value) {
    if (!item.is_string()) fail(key, "a list of strings");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<std::vector<double>> ConfigReader::find_positives(std::string_view key) const {
  constexpr std::string_view kExpected = "a list of finite numbers above 0";
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) fail(key, kExpected);
  std::vector<double> numbers;
  for (const auto& item : *value) {
    const double number = item.is_number() ? item.get<double>() : 0.0;
    if (!std::isfinite(number) || number <= 0) fail(key, kExpected);
    numbers.push_back(number);
  }
  return numbers;
}

std::optional<std::vector<int64_t>> ConfigReader::find_counts(std::string_view key) const {
  constexpr std::string_view kExpected = "a list of non-negative integers below 2^31";
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_array()) fail(key, kExpected);
  std::vector<int64_t> counts;
  for (const auto& item : *value) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > static_cast<uint64_t>(kLargestSize)) {
      fail(key, kExpected);
    }
    counts.push_back(item.get<int64_t>());
  }
  return counts;
}

std::optional<ConfigReader> ConfigReader::find_object(std::string_view key) const {
  const nlohmann::ordered_json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fail(key, "an object");
  return ConfigReader(*value, source_name_, fmt::format("{}{}.", prefix_, key));
}

}  // namespace lathe::frontends
