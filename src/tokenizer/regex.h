#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tokenizer {

/// A part of a text, and whether a pattern matched it.
struct Segment {
  size_t begin;
  size_t end;
  bool is_match;
};

/// A regular expression in the syntax of Oniguruma (Ruby), as tokenizer.json files have them, run
/// by PCRE2. Unicode properties are those of the Oniguruma in the `tokenizers` package.
class Regex {
 public:
  /// DataError if the pattern is broken or uses something that cannot be translated exactly.
  explicit Regex(std::string_view oniguruma_pattern);

  /// Cuts a text (valid UTF-8) into matches and what lies between them, in order. Empty matches are
  /// reported too, but none that touches the match before it. DataError if a match takes more steps
  /// than is sane.
  void find_segments(std::string_view text, std::vector<Segment>& segments) const;

 private:
  bool find(std::string_view text, size_t from, size_t& begin, size_t& end) const;

  std::string pattern_;
  std::shared_ptr<const void> code_;
};

/// A pattern of a Split or Replace: {"String": s} or {"Regex": r}.
class Pattern {
 public:
  static Pattern literal(std::string text);
  static Pattern regex(std::string_view oniguruma_pattern);

  void find_segments(std::string_view text, std::vector<Segment>& segments) const;

 private:
  std::string literal_;
  std::shared_ptr<const Regex> regex_;  // null for a literal
};

}  // namespace lathe::tokenizer
