#include "quantization/config/strict_json.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace lathe::quantization {

using nlohmann::ordered_json;

namespace {

constexpr size_t kShownLength = 80;

/// Levenshtein distance, one row at a time.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

[[noreturn]] void throw_expected(const std::string& where, std::string_view expected,
                                 const ordered_json& found) {
  throw_user("{}: expected {}, found {}", where, expected, shown(found));
}

std::string joined(std::span<const std::string_view> words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

}  // namespace

std::string shown(const ordered_json& value) {
  std::string text = value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  if (text.size() <= kShownLength) return text;
  size_t end = kShownLength;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates) {
  constexpr size_t kLongestName = 100;  // the distance is quadratic
  if (name.size() > kLongestName) return "";
  std::string_view best;
  size_t best_distance = name.size() < 4 ? 2 : std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance >= best_distance) continue;
    best_distance = distance;
    best = candidate;
  }
  return best.empty() ? "" : fmt::format(" (did you mean \"{}\"?)", best);
}

bool read_bool(const ordered_json& value, const std::string& where) {
  if (!value.is_boolean()) throw_expected(where, "true or false", value);
  return value.get<bool>();
}

int64_t read_int(const ordered_json& value, int64_t low, int64_t high, const std::string& where) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<uint64_t>() <= uint64_t{INT64_MAX});
  if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high) {
    throw_expected(where, fmt::format("an integer from {} to {}", low, high), value);
  }
  return value.get<int64_t>();
}

double read_number(const ordered_json& value, const std::string& where) {
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    throw_expected(where, "a finite number", value);
  }
  return value.get<double>();
}

std::string read_string(const ordered_json& value, const std::string& where) {
  if (!value.is_string()) throw_expected(where, "a string", value);
  return value.get<std::string>();
}

size_t read_word(const ordered_json& value, std::span<const std::string_view> words,
                 const std::string& where) {
  const std::string expected = "one of " + joined(words);
  if (!value.is_string()) throw_expected(where, expected, value);
  const auto& word = value.get_ref<const std::string&>();
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end()) {
    throw_user("{}: expected {}, found {}{}", where, expected, shown(value),
               did_you_mean(word, words));
  }
  return static_cast<size_t>(found - words.begin());
}

void expect_object(const ordered_json& value, const std::string& where) {
  if (!value.is_object()) throw_expected(where, "an object", value);
}

void expect_known_keys(const ordered_json& object, std::span<const std::string_view> known,
                       const std::string& where) {
  expect_object(object, where);
  for (const auto& item : object.items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    throw_user("{}: unknown key {}{}; known keys: {}", where, shown(item.key()),
               did_you_mean(item.key(), known), joined(known));
  }
}

const ordered_json* find_value(const ordered_json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

}  // namespace lathe::quantization
