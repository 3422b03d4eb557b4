#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::quantization {

/// A value as an error message shows it: JSON, cut short.
std::string shown(const nlohmann::ordered_json& value);

/// ` (did you mean "num_bits"?)` for the candidate nearest to a misspelt name; "" if none is near.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);

/// Typed reading; UserError "WHERE: expected ..., found ..." otherwise.
bool read_bool(const nlohmann::ordered_json& value, const std::string& where);
int64_t read_int(const nlohmann::ordered_json& value, int64_t low, int64_t high,
                 const std::string& where);
double read_number(const nlohmann::ordered_json& value, const std::string& where);
std::string read_string(const nlohmann::ordered_json& value, const std::string& where);
/// The index of the word among `words`.
size_t read_word(const nlohmann::ordered_json& value, std::span<const std::string_view> words,
                 const std::string& where);

/// UserError if `value` is not an object.
void expect_object(const nlohmann::ordered_json& value, const std::string& where);
/// UserError if `object` has a key that is not in `known`; the nearest known key is suggested.
void expect_known_keys(const nlohmann::ordered_json& object,
                       std::span<const std::string_view> known, const std::string& where);
/// The value of a key, or null if the object has no such key or null there.
const nlohmann::ordered_json* find_value(const nlohmann::ordered_json& object, const char* key);

}  // namespace lathe::quantization
