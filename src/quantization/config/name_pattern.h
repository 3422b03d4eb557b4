#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::quantization {

/// A wildcard of Python's fnmatch.fnmatchcase: `*` any text, `?` one character, `[seq]` one of
/// them ("a-z" ranges), `[!seq]` none of them, all else itself. A `[` that nothing closes is
/// itself too. Characters are code points of UTF-8.
class NamePattern {
 public:
  explicit NamePattern(std::string_view pattern);

  /// True if the whole name matches.
  bool matches(std::string_view name) const;

 private:
  struct Range {
    char32_t first;
    char32_t last;
  };
  struct Token {
    enum class Kind : uint8_t { kCharacter, kAny, kSet, kStar } kind;
    bool negated = false;
    char32_t character = 0;
    std::vector<Range> ranges;

    bool accepts(char32_t found) const;
  };

  size_t add_set(const std::u32string& pattern, size_t open);

  std::vector<Token> tokens_;
  std::string literal_;  // the longest stretch without wildcards: a name without it cannot match
};

}  // namespace lathe::quantization
