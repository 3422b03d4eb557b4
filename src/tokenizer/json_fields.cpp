#include "tokenizer/json_fields.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

std::string describe_json(const nlohmann::json& value) {
  constexpr size_t kShown = 60;
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return text;
}

JsonObject::JsonObject(const nlohmann::json& value, std::string where)
    : value_(value), where_(std::move(where)) {
  if (!value.is_object()) fail(fmt::format("expected an object, found {}", describe_json(value)));
}

void JsonObject::fail(const std::string& what) const { throw_data("{}: {}", where_, what); }

void JsonObject::fail_unknown_type() const {
  fail(fmt::format("the type \"{}\" is not supported", type()));
}

bool JsonObject::has(const std::string& name) const {
  const auto found = value_.find(name);
  return found != value_.end() && !found->is_null();
}

const nlohmann::json& JsonObject::at(const std::string& name) const {
  const auto found = value_.find(name);
  if (found == value_.end()) fail(fmt::format("\"{}\" is missing", name));
  return *found;
}

std::string JsonObject::string(const std::string& name) const {
  const auto& value = at(name);
  if (!value.is_string())
    fail(fmt::format("\"{}\" must be a string, found {}", name, describe_json(value)));
  return value.get<std::string>();
}

char32_t JsonObject::character(const std::string& name) const {
  const std::string text = string(name);
  if (count_code_points(text) != 1)
    fail(fmt::format("\"{}\" must be one character, found \"{}\"", name, text));
  size_t position = 0;
  return next_code_point(text, position);
}

bool JsonObject::boolean(const std::string& name) const {
  const auto& value = at(name);
  if (!value.is_boolean())
    fail(fmt::format("\"{}\" must be true or false, found {}", name, describe_json(value)));
  return value.get<bool>();
}

bool JsonObject::boolean(const std::string& name, bool otherwise) const {
  return has(name) ? boolean(name) : otherwise;
}

int64_t JsonObject::integer(const std::string& name, int64_t low, int64_t high) const {
  const auto& value = at(name);
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  if (!fits || value.get<int64_t>() < low || value.get<int64_t>() > high) {
    fail(fmt::format("\"{}\" must be an integer from {} to {}, found {}", name, low, high,
                     describe_json(value)));
  }
  return value.get<int64_t>();
}

JsonObject JsonObject::object(const std::string& name) const {
  return {at(name), where_ + "." + name};
}

const nlohmann::json& JsonObject::array(const std::string& name) const {
  const auto& value = at(name);
  if (!value.is_array())
    fail(fmt::format("\"{}\" must be an array, found {}", name, describe_json(value)));
  return value;
}

std::vector<JsonObject> JsonObject::objects(const std::string& name) const {
  const auto& values = array(name);
  std::vector<JsonObject> result;
  result.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    result.emplace_back(values[i], fmt::format("{}.{}[{}]", where_, name, i));
  }
  return result;
}

}  // namespace lathe::tokenizer
