#include "tokenizer/regex_class.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include "base/error.h"

namespace lathe::tokenizer {

namespace {

constexpr char32_t kLastCodePoint = 0x10FFFF;
constexpr int kMaxNestedClasses = 16;
constexpr size_t kMaxItems = 256 * 1024;
constexpr size_t kMaxComplements = 16;

/// Reads up to `max_digits` hexadecimal digits; DataError if there is none or the value is no code
/// point.
std::string hex_character(std::string_view pattern, size_t& position, size_t max_digits) {
  const size_t start = position;
  uint32_t value = 0;
  while (position < pattern.size() && position - start < max_digits &&
         std::isxdigit(static_cast<unsigned char>(pattern[position])) != 0) {
    const char digit =
        static_cast<char>(std::tolower(static_cast<unsigned char>(pattern[position++])));
    value = value * 16 + static_cast<uint32_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
  }
  if (position == start || value > kLastCodePoint)
    throw_untranslatable(pattern, "a broken \\x or \\u escape");
  return character_text(value);
}

std::string braced_hex_character(std::string_view pattern, size_t& position) {
  ++position;
  std::string result = hex_character(pattern, position, 8);
  if (position >= pattern.size() || pattern[position] != '}')
    throw_untranslatable(pattern, "a broken \\x{...}");
  ++position;
  return result;
}

}  // namespace

std::string translate_character_escape(std::string_view pattern, size_t& position) {
  if (position + 1 >= pattern.size()) throw_untranslatable(pattern, "a backslash at the end");
  const char letter = pattern[position + 1];
  position += 2;
  switch (letter) {
    case 'v':
      return "\\x0b";
    case 't':
    case 'n':
    case 'r':
    case 'f':
    case 'a':
    case 'e':
      return {'\\', letter};
    case 'x':
      if (position < pattern.size() && pattern[position] == '{')
        return braced_hex_character(pattern, position);
      return hex_character(pattern, position, 2);
    case 'u':
      if (position + 4 > pattern.size()) throw_untranslatable(pattern, "a broken \\u escape");
      return hex_character(pattern, position, 4);
    default:
      break;
  }
  if (static_cast<unsigned char>(letter) >= 0x80 ||
      std::isalnum(static_cast<unsigned char>(letter)) != 0) {
    throw_untranslatable(pattern, fmt::format("the escape \\{}", letter));
  }
  return {'\\', letter};
}

namespace {

/// Reads one class, recursively for the operands of &&.
class ClassTranslator {
 public:
  ClassTranslator(std::string_view pattern, size_t& position)
      : pattern_(pattern), position_(position) {}

  std::string translate(int depth);

 private:
  /// What one side of && has collected.
  struct Operand {
    std::string items;                     // the inside of a class
    std::vector<std::string> complements;  // insides of further, negated classes
    std::string nested;                    // or a class that stands here alone: an atom

    bool empty() const { return items.empty() && complements.empty() && nested.empty(); }
  };

  char peek(size_t ahead = 0) const {
    return position_ + ahead < pattern_.size() ? pattern_[position_ + ahead] : '\0';
  }
  bool at_intersection() const { return peek() == '&' && peek(1) == '&'; }
  std::string atom(const Operand& operand, bool negated) const;
  void read_nested(int depth, Operand& operand);
  void read_item(bool first, Operand& operand);
  void add_set(const RegexSet& set, Operand& operand);
  RegexSet posix_set();

  std::string_view pattern_;
  size_t& position_;
};

std::string ClassTranslator::translate(int depth) {
  if (depth > kMaxNestedClasses) throw_untranslatable(pattern_, "a class nested so deep");
  ++position_;
  const bool negated = peek() == '^';
  if (negated) ++position_;
  std::vector<Operand> operands(1);
  for (bool first = true; first || peek() != ']'; first = false) {
    if (position_ >= pattern_.size()) throw_untranslatable(pattern_, "a class without ]");
    if (at_intersection()) {
      position_ += 2;
      operands.emplace_back();
    } else if (peek() == '[' && peek(1) != ':') {
      read_nested(depth, operands.back());
    } else {
      read_item(first, operands.back());
    }
  }
  ++position_;
  if (operands.size() == 1) return atom(operands[0], negated);
  std::string all;
  for (size_t i = 0; i + 1 < operands.size(); ++i) all += "(?=" + atom(operands[i], false) + ")";
  all += atom(operands.back(), false);
  return negated ? "(?:(?!" + all + ")(?s:.))" : "(?:" + all + ")";
}

/// A character that is (not) in the operand. PCRE2 cannot put the additions of a negated set into a
/// class.
std::string ClassTranslator::atom(const Operand& operand, bool negated) const {
  if (operand.empty()) throw_untranslatable(pattern_, "an empty class");
  if (!operand.nested.empty()) {
    return negated ? "(?:(?!" + operand.nested + ")(?s:.))" : operand.nested;
  }
  if (operand.complements.empty()) return (negated ? "[^" : "[") + operand.items + "]";
  std::string result = "(?:";
  if (!operand.items.empty()) {
    result += negated ? "(?![" + operand.items + "])" : "[" + operand.items + "]|";
  }
  for (size_t i = 0; i < operand.complements.size(); ++i) {
    const std::string& inside = operand.complements[i];
    const bool last = i + 1 == operand.complements.size();
    if (negated) {
      result += last ? "[" + inside + "]" : "(?=[" + inside + "])";
    } else {
      result += "[^" + inside + (last ? "]" : "]|");
    }
  }
  return result + ")";
}

void ClassTranslator::read_nested(int depth, Operand& operand) {
  const bool alone = operand.empty();
  operand.nested = translate(depth + 1);
  if (!alone || (peek() != ']' && !at_intersection())) {
    throw_untranslatable(pattern_, "a class inside a class (other than beside &&)");
  }
}

void ClassTranslator::read_item(bool first, Operand& operand) {
  const char c = peek();
  if (first && c == ']') {
    ++position_;
    operand.items += "\\]";
  } else if (c == '[') {
    add_set(posix_set(), operand);
  } else if (c != '\\') {
    operand.items += pattern_[position_++];
  } else if (const auto set = read_set(pattern_, position_)) {
    add_set(*set, operand);
  } else {
    operand.items += translate_character_escape(pattern_, position_);
  }
}

/// A hyphen behind a set is a literal one; before it, it would make a range.
void ClassTranslator::add_set(const RegexSet& set, Operand& operand) {
  const std::string& items = operand.items;
  if (items.size() > kMaxItems || operand.complements.size() > kMaxComplements) {
    throw_untranslatable(pattern_, "a class with so many sets");
  }
  if (items.size() > 1 && items.ends_with('-') && !items.ends_with("\\-")) {
    throw_untranslatable(pattern_, "a range of characters that ends with a set");
  }
  if (set.negated) {
    operand.complements.push_back(set.inside);
  } else {
    operand.items += set.inside;
  }
  if (peek() != '-') return;
  ++position_;
  operand.items += "\\-";
}

RegexSet ClassTranslator::posix_set() {
  const size_t close = pattern_.find(":]", position_);
  if (close == std::string_view::npos) throw_untranslatable(pattern_, "[: without :]");
  const std::string_view name = pattern_.substr(position_ + 2, close - position_ - 2);
  constexpr std::array<std::string_view, 5> kKnown = {"space", "digit", "word", "xdigit", "alpha"};
  const std::string_view plain = name.substr(name.starts_with('^') ? 1 : 0);
  const auto set = set_of_property(name);
  if (!set || std::find(kKnown.begin(), kKnown.end(), plain) == kKnown.end()) {
    throw_untranslatable(pattern_, fmt::format("[:{}:]", name));
  }
  position_ = close + 2;
  return *set;
}

}  // namespace

std::optional<RegexSet> read_set(std::string_view pattern, size_t& position) {
  const char letter = position + 1 < pattern.size() ? pattern[position + 1] : '\0';
  if (auto set = set_of_escape(letter)) {
    position += 2;
    return set;
  }
  if (letter != 'p' && letter != 'P') return std::nullopt;
  const size_t open = position + 2;
  const size_t close = pattern.find('}', open);
  if (open >= pattern.size() || pattern[open] != '{' || close == std::string_view::npos) {
    throw_untranslatable(pattern, "\\p without {name}");
  }
  const std::string_view name = pattern.substr(open + 1, close - open - 1);
  auto set = set_of_property(name);
  if (!set) throw_untranslatable(pattern, fmt::format("the property \\p{{{}}}", name));
  set->negated ^= letter == 'P';
  position = close + 1;
  return set;
}

std::string translate_class(std::string_view pattern, size_t& position) {
  return ClassTranslator(pattern, position).translate(0);
}

}  // namespace lathe::tokenizer
