#include "tokenizer/regex_translation.h"

#include <cctype>
#include <optional>
#include <vector>

#include "base/error.h"
#include "tokenizer/regex_class.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

constexpr size_t kMaxPatternSize = 16 * 1024;
constexpr size_t kMaxTranslation = size_t{1} << 20;
constexpr int kMaxRepeat = 65535;  // PCRE2's limit

struct Group {
  size_t start;            // where it starts in the output
  int pending_closes = 0;  // groups that isolated options like (?i) opened inside it
};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) { groups_.push_back({0}); }

  std::string translate();

 private:
  char peek(size_t ahead = 0) const {
    return position_ + ahead < pattern_.size() ? pattern_[position_ + ahead] : '\0';
  }
  [[noreturn]] void fail(std::string_view what) const { throw_untranslatable(pattern_, what); }

  void step();
  void escape();
  void atom(std::string text);
  void literal();
  void open_group();
  void options_group();
  void close_group();
  void quantifier();
  void wrap_quantified();
  bool braces(int& low, int& high);
  std::optional<int> number();

  std::string_view pattern_;
  size_t position_ = 0;
  std::string output_;
  std::vector<Group> groups_;
  std::optional<size_t> atom_;  // where the last atom starts in the output
  bool quantified_ = false;
};

std::string Translator::translate() {
  if (pattern_.size() > kMaxPatternSize) {
    throw_data("a regular expression has {} bytes, at most {} are allowed", pattern_.size(),
               kMaxPatternSize);
  }
  while (position_ < pattern_.size()) {
    step();
    if (output_.size() > kMaxTranslation) fail("a pattern with so many sets");
  }
  if (groups_.size() != 1) fail("a group without )");
  output_.append(static_cast<size_t>(groups_[0].pending_closes), ')');
  return std::move(output_);
}

void Translator::step() {
  switch (const char c = peek()) {
    case '\\':
      return escape();
    case '[':
      return atom(translate_class(pattern_, position_));
    case '(':
      return open_group();
    case ')':
      return close_group();
    case '*':
    case '+':
    case '?':
      return quantifier();
    case '{': {
      int low = 0, high = 0;
      const size_t start = position_;
      const bool is_quantifier = braces(low, high);
      position_ = start;
      if (is_quantifier) return quantifier();
      ++position_;
      return atom("\\{");
    }
    case '|':
    case '^':
    case '$':
      ++position_;
      output_ += c;
      atom_.reset();
      return;
    default:
      return literal();
  }
}

void Translator::atom(std::string text) {
  atom_ = output_.size();
  quantified_ = false;
  output_ += text;
}

void Translator::literal() {
  const size_t length = utf8_length(static_cast<unsigned char>(peek()));
  atom(std::string(pattern_.substr(position_, length)));
  position_ += length;
}

void Translator::escape() {
  const char letter = peek(1);
  if (const auto set = read_set(pattern_, position_)) return atom(set->atom());
  if (letter == 'b' || letter == 'B') {
    position_ += 2;
    const std::string word = set_of_escape('w')->atom();
    const std::string inside = "(?<=" + word + ")(?" + (letter == 'b' ? "!" : "=") + word + ")";
    const std::string outside = "(?<!" + word + ")(?" + (letter == 'b' ? "=" : "!") + word + ")";
    return atom("(?:" + inside + "|" + outside + ")");
  }
  if (letter == 'A' || letter == 'z' || letter == 'Z' || letter == 'G') {
    position_ += 2;
    output_ += {'\\', letter};
    atom_.reset();
    return;
  }
  if (letter >= '1' && letter <= '9' && std::isdigit(static_cast<unsigned char>(peek(2))) == 0) {
    position_ += 2;
    return atom({'\\', letter});
  }
  atom(translate_character_escape(pattern_, position_));
}

void Translator::open_group() {
  if (peek(1) == '*') fail("(*...)");
  if (peek(1) != '?') {
    groups_.push_back({output_.size()});
    output_ += '(';
    ++position_;
    atom_.reset();
    return;
  }
  constexpr std::string_view kOpenings[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
  for (std::string_view opening : kOpenings) {
    if (!pattern_.substr(position_).starts_with(opening)) continue;
    groups_.push_back({output_.size()});
    output_ += opening;
    position_ += opening.size();
    atom_.reset();
    return;
  }
  options_group();
}

/// (?i:...), or (?i), which reaches to the end of the group around it, alternatives included.
void Translator::options_group() {
  std::string options;
  position_ += 2;
  for (; peek() == 'i' || peek() == 'm' || peek() == '-'; ++position_)
    options += peek() == 'm' ? 's' : peek();
  if (options.empty() || (peek() != ')' && peek() != ':'))
    fail(fmt::format("a group (?{}", peek()));
  if (peek() == ')') {
    ++groups_.back().pending_closes;
  } else {
    groups_.push_back({output_.size()});
  }
  ++position_;
  output_ += "(?" + options + ":";
  atom_.reset();
}

void Translator::close_group() {
  if (groups_.size() == 1) fail("a ) without a group");
  output_.append(static_cast<size_t>(groups_.back().pending_closes) + 1, ')');
  atom_ = groups_.back().start;
  quantified_ = false;
  groups_.pop_back();
  ++position_;
}

std::optional<int> Translator::number() {
  if (std::isdigit(static_cast<unsigned char>(peek())) == 0) return std::nullopt;
  int value = 0;
  for (; std::isdigit(static_cast<unsigned char>(peek())) != 0; ++position_) {
    value = value * 10 + (peek() - '0');
    if (value > kMaxRepeat) fail(fmt::format("a repeat of more than {}", kMaxRepeat));
  }
  return value;
}

/// Reads {n}, {n,}, {n,m} or {,m}; high is -1 where there is no end. False if the brace is a
/// literal one.
bool Translator::braces(int& low, int& high) {
  ++position_;
  const auto first = number();
  std::optional<int> second = first;
  if (peek() == ',') {
    ++position_;
    second = number();
    if (!first && !second) return false;
  } else if (!first) {
    return false;
  }
  if (peek() != '}') return false;
  ++position_;
  low = first.value_or(0);
  high = second.value_or(-1);
  return true;
}

void Translator::wrap_quantified() {
  if (!atom_) fail("a quantifier without something to repeat");
  if (!quantified_) return;
  output_.insert(*atom_, "(?:");
  output_ += ')';
}

void Translator::quantifier() {
  wrap_quantified();
  quantified_ = true;
  if (peek() != '{') {
    output_ += pattern_[position_++];
    if (peek() == '?' || peek() == '+') output_ += pattern_[position_++];
    return;
  }
  int low = 0, high = 0;
  braces(low, high);
  if (high >= 0 && low > high) fail("a repeat {n,m} with n > m");
  output_ += high < 0 ? fmt::format("{{{},}}", low) : fmt::format("{{{},{}}}", low, high);
  // x{2}? is an optional x{2}, x{1,2}? a lazy one; x{1,2}+ repeats it.
  if (peek() == '?' && low != high) output_ += pattern_[position_++];
}

}  // namespace

std::string translate_oniguruma(std::string_view pattern) {
  return Translator(pattern).translate();
}

}  // namespace lathe::tokenizer
