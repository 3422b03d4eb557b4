#include "io/json.h"

#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "io/json_text.h"

namespace lathe::io {
namespace {

constexpr size_t kMaxJsonFile = size_t{1} << 30;

struct SpecialNumber {
  std::string_view token;
  double value;
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr SpecialNumber kSpecialNumbers[] = {{"NaN", std::numeric_limits<double>::quiet_NaN()},
                                             {"Infinity", kInfinity},
                                             {"-Infinity", -kInfinity}};

/// JSON in which Python's special numbers are replaced by strings of the same length.
struct PlainJson {
  std::string text;
  std::unordered_map<size_t, double>
      numbers;  // which of the text's strings (keys too) stand for numbers
};

size_t end_of_string(std::string_view text, size_t begin) {
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i;
    }
  }
  return text.size();
}

/// Nothing if the text has no special numbers.
std::optional<PlainJson> replace_special_numbers(std::string_view text) {
  if (text.find("NaN") == text.npos && text.find("Infinity") == text.npos) return std::nullopt;
  PlainJson plain{.text = std::string(text), .numbers = {}};
  size_t strings = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      i = end_of_string(text, i);
      ++strings;
      continue;
    }
    for (const auto& [token, value] : kSpecialNumbers) {
      if (!text.substr(i).starts_with(token)) continue;
      plain.text.replace(i, token.size(), '"' + std::string(token.size() - 2, '?') + '"');
      plain.numbers.emplace(strings++, value);
      i += token.size() - 1;
      break;
    }
  }
  return plain;
}

/// Builds a value from nlohmann's parse events; checks depth and duplicate keys, which its own
/// parser does not.
template <typename Json>
class JsonBuilder {
 public:
  using number_integer_t = typename Json::number_integer_t;
  using number_unsigned_t = typename Json::number_unsigned_t;
  using number_float_t = typename Json::number_float_t;
  using string_t = typename Json::string_t;
  using binary_t = typename Json::binary_t;

  JsonBuilder(std::string_view text, std::string_view source_name, DuplicateKeys duplicates,
              const std::unordered_map<size_t, double>& special_numbers)
      : text_(text),
        source_name_(source_name),
        duplicates_(duplicates),
        special_numbers_(special_numbers) {}

  Json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(number_integer_t value) { return add(value); }
  bool number_unsigned(number_unsigned_t value) { return add(value); }
  bool number_float(number_float_t value, const string_t&) { return add(value); }
  bool binary(binary_t&) { return false; }  // no such thing in JSON text

  bool string(string_t& value) {
    const auto special = special_numbers_.find(strings_++);
    return special == special_numbers_.end() ? add(std::move(value)) : add(special->second);
  }

  bool key(string_t& name) {
    if (special_numbers_.contains(strings_++))
      throw_data("{}: not valid JSON: a number as a key", where());
    stack_.back().key = std::move(name);
    return true;
  }

  bool start_object(size_t) { return push(Json::object()); }
  bool start_array(size_t) { return push(Json::array()); }
  bool end_object() { return pop(); }
  bool end_array() { return pop(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) {
    throw_json_error(text_, source_name_, position, error.what());
  }

 private:
  struct Frame {
    Json value;
    std::string key;                               // of the member that comes next
    std::unordered_map<std::string, size_t> seen;  // ordered_json: member names, and their places
  };

  bool push(Json container) {
    if (stack_.size() >= kMaxJsonDepth)
      throw_data("{}: nested more than {} deep", where(), kMaxJsonDepth);
    stack_.push_back({.value = std::move(container), .key = {}, .seen = {}});
    return true;
  }

  bool pop() {
    Json value = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(value));
  }

  bool add(Json value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (stack_.back().value.is_array()) {
      stack_.back().value.push_back(std::move(value));
    } else {
      add_member(stack_.back(), std::move(value));
    }
    return true;
  }

  void add_member(Frame& frame, Json value) {
    const auto [member, is_new] = member_of(frame);
    if (!is_new && duplicates_ == DuplicateKeys::kError) {
      throw_data("{}: key \"{}\" is given twice", where(), frame.key);
    }
    *member = std::move(value);
  }

  /// The member that is called frame.key, and whether it is a new one.
  static std::pair<Json*, bool> member_of(Frame& frame) {
    auto& object = frame.value.template get_ref<typename Json::object_t&>();
    if constexpr (std::is_same_v<Json, nlohmann::ordered_json>) {
      // Past ordered_map's own look-up, which is linear.
      const auto [place, is_new] = frame.seen.try_emplace(frame.key, object.size());
      if (is_new) object.Json::object_t::Container::emplace_back(frame.key, nullptr);
      return {&std::next(object.begin(), static_cast<ptrdiff_t>(place->second))->second, is_new};
    } else {
      const auto [place, is_new] = object.try_emplace(frame.key);
      return {&place->second, is_new};
    }
  }

  /// "config.json: text_config.rope": the file and the members that are open.
  std::string where() const {
    std::string path;
    for (size_t i = 0; i + 1 < stack_.size() && path.size() < 200; ++i) {
      if (stack_[i].value.is_array()) continue;
      path += path.empty() ? ": " : ".";
      path += stack_[i].key;
    }
    return std::string(source_name_) + path;
  }

  std::string_view text_;
  std::string_view source_name_;
  DuplicateKeys duplicates_;
  const std::unordered_map<size_t, double>& special_numbers_;
  size_t strings_ = 0;
  Json root_;
  std::vector<Frame> stack_;
};

template <typename Json>
Json parse(std::string_view text, std::string_view source_name, DuplicateKeys duplicates) {
  check_no_nul(text, source_name);
  const std::optional<PlainJson> plain = replace_special_numbers(text);
  const std::unordered_map<size_t, double> none;
  JsonBuilder<Json> builder(text, source_name, duplicates, plain ? plain->numbers : none);
  Json::sax_parse(plain ? std::string_view(plain->text) : text, &builder);
  return builder.take();
}

std::string marker(std::string_view token) { return fmt::format("\x7flathe number {}\x7f", token); }

/// Replaces non-finite numbers, which nlohmann::json would write as null, by marker strings; true
/// if there were any.
template <typename Json>
bool mark_special_numbers(Json& value) {
  bool any = false;
  if (value.is_structured()) {
    for (auto& child : value) any |= mark_special_numbers(child);
  } else if (value.is_number_float()) {
    const double number = value.template get<double>();
    if (std::isfinite(number)) return false;
    value = marker(std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
    any = true;
  }
  return any;
}

void replace_all(std::string& text, const std::string& from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

template <typename Json>
std::string dump(const Json& value, int indent) {
  try {
    Json copy = value;
    const bool special = mark_special_numbers(copy);
    std::string text = copy.dump(indent);
    if (special) {
      for (const auto& number : kSpecialNumbers) {
        replace_all(text, '"' + marker(number.token) + '"', number.token);
      }
    }
    return text;
  } catch (const nlohmann::json::exception& error) {
    throw_data("cannot write JSON: {}", error.what());
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view source_name,
                          DuplicateKeys duplicates) {
  return parse<nlohmann::json>(text, source_name, duplicates);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view source_name,
                                          DuplicateKeys duplicates) {
  return parse<nlohmann::ordered_json>(text, source_name, duplicates);
}

nlohmann::json read_json(const std::filesystem::path& path, DuplicateKeys duplicates) {
  return parse_json(read_file(path, kMaxJsonFile), path.string(), duplicates);
}

nlohmann::ordered_json read_ordered_json(const std::filesystem::path& path,
                                         DuplicateKeys duplicates) {
  return parse_ordered_json(read_file(path, kMaxJsonFile), path.string(), duplicates);
}

std::string dump_json(const nlohmann::json& value, int indent) { return dump(value, indent); }
std::string dump_json(const nlohmann::ordered_json& value, int indent) {
  return dump(value, indent);
}

}  // namespace lathe::io
