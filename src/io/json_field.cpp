#include "io/json_field.h"

#include <limits>

#include "base/error.h"

namespace lathe::io {

void JsonField::fail(std::string_view expected) const {
  const std::string found =
      value_->is_primitive()
          ? value_->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
          : value_->type_name();
  throw_data("{}: expected {}, found {}", where_, expected, found.substr(0, 80));
}

bool JsonField::has(std::string_view name) const {
  return value_->is_object() && value_->contains(name);
}

JsonField JsonField::at(std::string_view name) const {
  if (!value_->is_object()) fail("an object");
  const auto found = value_->find(name);
  if (found == value_->end()) throw_data("{}: has no \"{}\"", where_, name);
  return {*found, fmt::format("{}.{}", where_, name)};
}

std::vector<JsonField> JsonField::items() const {
  if (!value_->is_array()) fail("a list");
  std::vector<JsonField> fields;
  fields.reserve(value_->size());
  for (const nlohmann::json& item : *value_) {
    fields.emplace_back(item, fmt::format("{}[{}]", where_, fields.size()));
  }
  return fields;
}

std::vector<std::pair<std::string, JsonField>> JsonField::members() const {
  if (!value_->is_object()) fail("an object");
  std::vector<std::pair<std::string, JsonField>> fields;
  fields.reserve(value_->size());
  for (const auto& [name, value] : value_->items()) {
    fields.emplace_back(name, JsonField(value, fmt::format("{}.{}", where_, name)));
  }
  return fields;
}

std::pair<std::string, JsonField> JsonField::alternative() const {
  if (!value_->is_object()) fail("an object with one member");
  // Absent alternatives may be written as null.
  std::optional<std::pair<std::string, JsonField>> found;
  for (const auto& [name, value] : value_->items()) {
    if (value.is_null()) continue;
    if (found) fail("an object with one member");
    found.emplace(name, JsonField(value, fmt::format("{}.{}", where_, name)));
  }
  if (!found) fail("an object with one member");
  return *std::move(found);
}

const std::string& JsonField::string() const {
  if (!value_->is_string()) fail("a string");
  return value_->get_ref<const std::string&>();
}

int64_t JsonField::integer() const {
  if (!value_->is_number_integer()) fail("an integer");
  if (value_->is_number_unsigned() &&
      value_->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    fail("an integer of 64 bits");
  }
  return value_->get<int64_t>();
}

bool JsonField::boolean() const {
  if (!value_->is_boolean()) fail("true or false");
  return value_->get<bool>();
}

double JsonField::real() const {
  if (value_->is_number()) return value_->get<double>();
  if (value_->is_string()) {  // what JSON has no number for
    const std::string& text = string();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  }
  fail("a number");
}

}  // namespace lathe::io
