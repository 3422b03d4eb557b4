#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace lathe::tokenizer {

/// An object of a tokenizer.json and where it stands ("pre_tokenizer.pretokenizers[1]"), for errors
/// that say what is wrong where. Every function throws a DataError if the field is missing or has
/// another type.
class JsonObject {
 public:
  JsonObject(const nlohmann::json& value, std::string where);

  std::string type() const { return string("type"); }
  const std::string& where() const { return where_; }

  bool has(const std::string& name) const;  // false for null too
  const nlohmann::json& at(const std::string& name) const;
  std::string string(const std::string& name) const;
  /// A string of exactly one code point.
  char32_t character(const std::string& name) const;
  bool boolean(const std::string& name) const;
  bool boolean(const std::string& name, bool otherwise) const;
  int64_t integer(const std::string& name, int64_t low, int64_t high) const;
  JsonObject object(const std::string& name) const;
  const nlohmann::json& array(const std::string& name) const;
  /// The objects of the array `name`.
  std::vector<JsonObject> objects(const std::string& name) const;

  [[noreturn]] void fail(const std::string& what) const;
  /// "unknown pre_tokenizer type "X"".
  [[noreturn]] void fail_unknown_type() const;

 private:
  const nlohmann::json& value_;
  std::string where_;
};

/// Short text of a JSON value for messages.
std::string describe_json(const nlohmann::json& value);

/// A token id: an integer from 0 to kMaxTokenId.
constexpr int64_t kMaxTokenId = (int64_t{1} << 24) - 1;

}  // namespace lathe::tokenizer
