#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::io {

/// A place in a JSON file, for typed access: every error is a DataError that names the file, the
/// place, what was expected and what was found.
class JsonField {
 public:
  JsonField(const nlohmann::json& value, std::string where)
      : value_(&value), where_(std::move(where)) {}

  const std::string& where() const { return where_; }
  bool is_null() const { return value_->is_null(); }
  bool is_string() const { return value_->is_string(); }
  bool is_object() const { return value_->is_object(); }
  bool has(std::string_view name) const;

  JsonField at(std::string_view name) const;
  std::vector<JsonField> items() const;
  std::vector<std::pair<std::string, JsonField>> members() const;
  /// The one member of a union that is set, and its name.
  std::pair<std::string, JsonField> alternative() const;

  const std::string& string() const;
  int64_t integer() const;
  bool boolean() const;
  double real() const;

  [[noreturn]] void fail(std::string_view expected) const;

 private:
  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace lathe::io
