#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::frontends {

/// Typed reading of a config.json. Each getter is given a key; a value of another type or out of
/// range is a DataError that names file, key, what was expected and what was found. null counts as
/// absent.
class ConfigReader {
 public:
  /// `json` must be an object (DataError) and outlive the reader. `source_name`: the file.
  ConfigReader(const nlohmann::ordered_json& json, std::string source_name);

  const std::string& source_name() const { return source_name_; }
  bool has(std::string_view key) const { return find(key) != nullptr; }

  /// Integers from 1 to 2^31 - 1: numbers of heads, layers, features.
  int64_t size(std::string_view key) const;
  int64_t size_or(std::string_view key, int64_t absent) const;
  std::optional<int64_t> find_size(std::string_view key) const;
  /// The same from 0.
  int64_t count_or(std::string_view key, int64_t absent) const;

  /// Finite numbers above 0.
  double positive(std::string_view key) const;
  double positive_or(std::string_view key, double absent) const;
  std::optional<double> find_positive(std::string_view key) const;

  bool flag_or(std::string_view key, bool absent) const;
  /// A flag that must not be set: UserError that names it if it is.
  void refuse_flag(std::string_view key, std::string_view detail) const;
  std::string text(std::string_view key) const;
  std::string text_or(std::string_view key, std::string absent) const;
  std::optional<std::vector<std::string>> find_texts(std::string_view key) const;
  /// A list of numbers as positive() reads them.
  std::optional<std::vector<double>> find_positives(std::string_view key) const;
  /// A list of integers from 0.
  std::optional<std::vector<int64_t>> find_counts(std::string_view key) const;

  /// A reader of the object under a key; its errors name "key.inner". Nothing if it is absent.
  std::optional<ConfigReader> find_object(std::string_view key) const;

  const nlohmann::ordered_json& json() const { return *json_; }

  /// Throws DataError: file: "key" must be EXPECTED, found VALUE.
  [[noreturn]] void fail(std::string_view key, std::string_view expected) const;
  /// Throws UserError: file: "key" is VALUE, which is not supported (DETAIL).
  [[noreturn]] void unsupported(std::string_view key, std::string_view detail) const;

 private:
  ConfigReader(const nlohmann::ordered_json& json, std::string source_name, std::string prefix);

  /// Null if the key is absent or its value null.
  const nlohmann::ordered_json* find(std::string_view key) const;
  const nlohmann::ordered_json& at(std::string_view key, std::string_view expected) const;
  int64_t integer(std::string_view key, int64_t least) const;
  std::string found(std::string_view key) const;

  const nlohmann::ordered_json* json_;
  std::string source_name_;
  std::string prefix_;
};

}  // namespace lathe::frontends
