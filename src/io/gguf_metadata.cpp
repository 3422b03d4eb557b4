#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "io/gguf_reader.h"

namespace lathe::io {
namespace {

template <typename T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool>;

template <typename T>
constexpr std::string_view type_word() {
  if constexpr (std::is_same_v<T, bool>) {
    return "a boolean";
  } else if constexpr (std::is_integral_v<T>) {
    return "an integer";
  } else if constexpr (std::is_floating_point_v<T>) {
    return "a float";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return "a string";
  } else {
    return "an array";
  }
}

[[noreturn]] void throw_type(const std::string& source, std::string_view key,
                             std::string_view expected, std::string_view found) {
  throw_data("{}: metadata \"{}\": expected {}, found {}", source, key, expected, found);
}

std::string_view found_type(const GgufValue& value) {
  return std::visit([]<typename T>(const T&) { return type_word<T>(); }, value);
}

/// An integer of any width, where it fits Target.
template <typename Target>
Target to_integer(const GgufValue& value, const std::string& source, std::string_view key) {
  return std::visit(
      [&]<typename T>(const T& number) -> Target {
        if constexpr (kIsInteger<T>) {
          if (!std::in_range<Target>(number)) {
            throw_data("{}: metadata \"{}\": {} is out of range", source, key, number);
          }
          return static_cast<Target>(number);
        } else {
          throw_type(source, key, "an integer", type_word<T>());
        }
      },
      value);
}

double to_double(const GgufValue& value, const std::string& source, std::string_view key) {
  return std::visit(
      [&]<typename T>(const T& number) -> double {
        if constexpr (std::is_floating_point_v<T>) {
          return static_cast<double>(number);
        } else {
          throw_type(source, key, "a float", type_word<T>());
        }
      },
      value);
}

template <typename T>
const T& exactly(const GgufValue& value, const std::string& source, std::string_view key) {
  const T* found = std::get_if<T>(&value);
  if (found == nullptr) throw_type(source, key, type_word<T>(), found_type(value));
  return *found;
}

std::vector<int64_t> to_ints(const GgufArray& array, const std::string& source,
                             std::string_view key) {
  return std::visit(
      [&]<typename T>(const std::vector<T>& values) -> std::vector<int64_t> {
        if constexpr (kIsInteger<T>) {
          for (const T value : values) {
            if (!std::in_range<int64_t>(value))
              throw_data("{}: metadata \"{}\": {} is out of range", source, key, value);
          }
          return {values.begin(), values.end()};
        } else {
          if (values.empty()) return {};
          throw_type(source, key, "an array of integers", "an array of another type");
        }
      },
      array.values);
}

std::vector<float> to_floats(const GgufArray& array, const std::string& source,
                             std::string_view key) {
  return std::visit(
      [&]<typename T>(const std::vector<T>& values) -> std::vector<float> {
        if constexpr (std::is_floating_point_v<T>) {
          return {values.begin(), values.end()};
        } else {
          if (values.empty()) return {};
          throw_type(source, key, "an array of floats", "an array of another type");
        }
      },
      array.values);
}

}  // namespace

size_t GgufArray::size() const {
  return std::visit([](const auto& elements) { return elements.size(); }, values);
}

const GgufValue& GgufMetadata::at(std::string_view key) const {
  const auto place = values_.find(key);
  if (place == values_.end()) throw_data("{}: no metadata \"{}\"", source_name_, key);
  return place->second;
}

uint64_t GgufMetadata::get_u64(std::string_view key) const {
  return to_integer<uint64_t>(at(key), source_name_, key);
}
int64_t GgufMetadata::get_i64(std::string_view key) const {
  return to_integer<int64_t>(at(key), source_name_, key);
}
double GgufMetadata::get_f64(std::string_view key) const {
  return to_double(at(key), source_name_, key);
}
bool GgufMetadata::get_bool(std::string_view key) const {
  return exactly<bool>(at(key), source_name_, key);
}

const std::string& GgufMetadata::get_string(std::string_view key) const {
  return exactly<std::string>(at(key), source_name_, key);
}

std::vector<int64_t> GgufMetadata::get_ints(std::string_view key) const {
  return to_ints(exactly<GgufArray>(at(key), source_name_, key), source_name_, key);
}

std::vector<float> GgufMetadata::get_floats(std::string_view key) const {
  return to_floats(exactly<GgufArray>(at(key), source_name_, key), source_name_, key);
}

const std::vector<std::string>& GgufMetadata::get_strings(std::string_view key) const {
  const auto& array = exactly<GgufArray>(at(key), source_name_, key);
  const auto* strings = std::get_if<std::vector<std::string>>(&array.values);
  if (strings == nullptr)
    throw_type(source_name_, key, "an array of strings", "an array of another type");
  return *strings;
}

std::optional<uint64_t> GgufMetadata::find_u64(std::string_view key) const {
  return contains(key) ? std::optional(get_u64(key)) : std::nullopt;
}
std::optional<int64_t> GgufMetadata::find_i64(std::string_view key) const {
  return contains(key) ? std::optional(get_i64(key)) : std::nullopt;
}
std::optional<double> GgufMetadata::find_f64(std::string_view key) const {
  return contains(key) ? std::optional(get_f64(key)) : std::nullopt;
}
std::optional<bool> GgufMetadata::find_bool(std::string_view key) const {
  return contains(key) ? std::optional(get_bool(key)) : std::nullopt;
}
std::optional<std::string> GgufMetadata::find_string(std::string_view key) const {
  return contains(key) ? std::optional(get_string(key)) : std::nullopt;
}
std::optional<std::vector<int64_t>> GgufMetadata::find_ints(std::string_view key) const {
  return contains(key) ? std::optional(get_ints(key)) : std::nullopt;
}
std::optional<std::vector<float>> GgufMetadata::find_floats(std::string_view key) const {
  return contains(key) ? std::optional(get_floats(key)) : std::nullopt;
}

}  // namespace lathe::io
