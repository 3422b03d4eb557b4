#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace lathe::tokenizer {

/// A named set of characters (\s, \P{L}, [:digit:]) as Oniguruma has it.
struct RegexSet {
  std::string inside;  // what stands in a PCRE2 class for it: "\p{L}\x{c5d}"
  bool negated = false;
  std::string alone{};  // what it has besides where it stands outside a class

  std::string atom() const { return (negated ? "[^" : "[") + inside + alone + "]"; }
};

/// \s \S \w \W \d \D \h \H; nothing for other letters.
std::optional<RegexSet> set_of_escape(char letter);

/// Properties of \p{..}: general categories, scripts and a few more ("L", "Letter", "Han", "^L");
/// nothing for others.
std::optional<RegexSet> set_of_property(std::string_view name);

/// "\x{41}".
std::string character_text(char32_t c);

/// DataError: "regular expression "...": WHAT is not supported".
[[noreturn]] void throw_untranslatable(std::string_view pattern, std::string_view what);

}  // namespace lathe::tokenizer
