#include "tokenizer/regex_sets.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <span>

#include "base/error.h"
#include "tokenizer/unicode_tables.h"

namespace lathe::tokenizer {

namespace {

constexpr char32_t kJoiner =
    0x200C;  // and the one behind it: words to Rust's \w, not to Oniguruma's

/// Superscripts and fractions of Latin-1: words where \w stands outside a class, not inside one.
constexpr const char* kWordAlone = R"(\x{b2}\x{b3}\x{b9}\x{bc}\x{bd}\x{be})";

constexpr CodePointRange kSpace[] = {
    {0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},     {0x1680, 0x1680},
    {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}};
constexpr CodePointRange kHexDigit[] = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};

std::string range_text(char32_t first, char32_t last) {
  return first == last ? character_text(first) : character_text(first) + "-" + character_text(last);
}

std::string text_of_ranges(std::span<const CodePointRange> ranges) {
  std::string result;
  for (const auto& [first, last] : ranges) result += range_text(first, last);
  return result;
}

std::string text_of_word() {
  std::string result;
  for (const auto& [first, last] : word_ranges()) {
    if (first != kJoiner) result += range_text(first, last);
  }
  return result;
}

struct CategoryName {
  std::string_view name;  // lower case, without '_', ' ' and '-'
  std::string_view category;
};

constexpr CategoryName kCategories[] = {{"letter", "L"},
                                        {"uppercaseletter", "Lu"},
                                        {"lowercaseletter", "Ll"},
                                        {"titlecaseletter", "Lt"},
                                        {"modifierletter", "Lm"},
                                        {"otherletter", "Lo"},
                                        {"mark", "M"},
                                        {"nonspacingmark", "Mn"},
                                        {"spacingmark", "Mc"},
                                        {"enclosingmark", "Me"},
                                        {"number", "N"},
                                        {"decimalnumber", "Nd"},
                                        {"letternumber", "Nl"},
                                        {"othernumber", "No"},
                                        {"punctuation", "P"},
                                        {"connectorpunctuation", "Pc"},
                                        {"dashpunctuation", "Pd"},
                                        {"openpunctuation", "Ps"},
                                        {"closepunctuation", "Pe"},
                                        {"initialpunctuation", "Pi"},
                                        {"finalpunctuation", "Pf"},
                                        {"otherpunctuation", "Po"},
                                        {"symbol", "S"},
                                        {"mathsymbol", "Sm"},
                                        {"currencysymbol", "Sc"},
                                        {"modifiersymbol", "Sk"},
                                        {"othersymbol", "So"},
                                        {"separator", "Z"},
                                        {"spaceseparator", "Zs"},
                                        {"lineseparator", "Zl"},
                                        {"paragraphseparator", "Zp"},
                                        {"other", "C"},
                                        {"control", "Cc"},
                                        {"format", "Cf"},
                                        {"privateuse", "Co"},
                                        {"surrogate", "Cs"},
                                        {"unassigned", "Cn"}};

constexpr std::string_view kScripts[] = {
    "Arabic",   "Armenian",   "Bengali",   "Bopomofo",  "Braille", "Cherokee", "Common",   "Coptic",
    "Cyrillic", "Devanagari", "Ethiopic",  "Georgian",  "Greek",   "Gujarati", "Gurmukhi", "Han",
    "Hangul",   "Hebrew",     "Hiragana",  "Inherited", "Kannada", "Katakana", "Khmer",    "Lao",
    "Latin",    "Malayalam",  "Mongolian", "Myanmar",   "Oriya",   "Sinhala",  "Syriac",   "Tamil",
    "Telugu",   "Thaana",     "Thai",      "Tibetan"};

std::string folded_name(std::string_view name) {
  std::string result;
  for (char c : name) {
    if (c != '_' && c != ' ' && c != '-')
      result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

/// "L" or "Lu" for a general category, empty for anything else.
std::string category_of(const std::string& folded) {
  for (const auto& [name, category] : kCategories) {
    if (folded == name || folded == folded_name(category)) return std::string(category);
  }
  return {};
}

std::string text_of_category(const std::string& category) {
  std::string result = "\\p{" + category + "}";
  for (const auto& [first, last, added] : category_additions()) {
    if (std::strncmp(added, category.c_str(), category.size()) == 0) {
      result += range_text(first, last);
    }
  }
  return result;
}

/// Empty if there is no such property.
std::string text_of_property(const std::string& folded) {
  if (const std::string category = category_of(folded); !category.empty()) {
    return text_of_category(category);
  }
  if (folded == "space" || folded == "whitespace") return text_of_ranges(kSpace);
  if (folded == "word") return text_of_word();
  if (folded == "xdigit") return text_of_ranges(kHexDigit);
  if (folded == "digit") return text_of_category("Nd");
  if (folded == "alpha" || folded == "alphabetic") return "\\p{Alphabetic}";
  const auto script = std::find_if(std::begin(kScripts), std::end(kScripts),
                                   [&](std::string_view s) { return folded == folded_name(s); });
  if (script == std::end(kScripts)) return {};
  return fmt::format("\\p{{sc:{}}}", *script);
}

}  // namespace

std::string character_text(char32_t c) {
  return fmt::format("\\x{{{:x}}}", static_cast<uint32_t>(c));
}

std::optional<RegexSet> set_of_escape(char letter) {
  const bool negated = std::isupper(static_cast<unsigned char>(letter)) != 0;
  switch (std::tolower(static_cast<unsigned char>(letter))) {
    case 's':
      return RegexSet{text_of_ranges(kSpace), negated};
    case 'w':
      return RegexSet{text_of_word(), negated, kWordAlone};
    case 'h':
      return RegexSet{text_of_ranges(kHexDigit), negated};
    case 'd':
      return RegexSet{text_of_category("Nd"), negated};
    default:
      return std::nullopt;
  }
}

std::optional<RegexSet> set_of_property(std::string_view name) {
  const bool negated = name.starts_with("^");
  if (negated) name.remove_prefix(1);
  const std::string folded = folded_name(name);
  std::string inside = text_of_property(folded);
  if (inside.empty()) return std::nullopt;
  return RegexSet{std::move(inside), negated, folded == "word" ? kWordAlone : ""};
}

void throw_untranslatable(std::string_view pattern, std::string_view what) {
  throw_data("regular expression \"{}\": {} is not supported", pattern, what);
}

}  // namespace lathe::tokenizer
