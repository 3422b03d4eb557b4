#include "quantization/config/name_pattern.h"

#include <algorithm>
#include <optional>

namespace lathe::quantization {

namespace {

/// The code point at `position`, which moves behind it. A byte that is no UTF-8 stands for itself.
char32_t next_character(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(position++);
  if (lead < 0x80) return lead;
  const int extra = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
  if (extra == 0 || position + extra > text.size()) return lead;
  char32_t character = lead & (0x3F >> extra);
  for (int i = 0; i < extra; ++i) {
    if ((byte(position + i) & 0xC0) != 0x80) return lead;
    character = character << 6 | (byte(position + i) & 0x3F);
  }
  position += extra;
  return character;
}

std::u32string characters(std::string_view text) {
  std::u32string out;
  for (size_t position = 0; position < text.size();) out += next_character(text, position);
  return out;
}

/// The longest stretch of ASCII letters and the like between wildcards.
std::string longest_literal(std::string_view pattern) {
  std::string best;
  std::string current;
  bool in_set = false;
  for (const char c : pattern) {
    if (c == '[') in_set = true;  // ends the search: what follows may be a set
    if (in_set) break;
    const bool plain = c != '*' && c != '?' && static_cast<unsigned char>(c) < 0x80;
    current = plain ? current + c : "";
    if (current.size() > best.size()) best = current;
  }
  return best;
}

/// Where the set that opens at `open` closes: a `]` right behind `[` or `[!` belongs to the set.
std::optional<size_t> closing_bracket(const std::u32string& pattern, size_t open) {
  size_t position = open + 1;
  if (position < pattern.size() && pattern[position] == U'!') ++position;
  if (position < pattern.size() && pattern[position] == U']') ++position;
  const size_t close = pattern.find(U']', position);
  return close == std::u32string::npos ? std::nullopt : std::optional(close);
}

}  // namespace

bool NamePattern::Token::accepts(char32_t found) const {
  if (kind == Kind::kAny) return true;
  if (kind == Kind::kCharacter) return found == character;
  const bool inside = std::any_of(ranges.begin(), ranges.end(), [&](const Range& range) {
    return range.first <= found && found <= range.last;
  });
  return inside != negated;
}

/// Adds the set that opens at `open`, or `[` itself if it is never closed; returns what is next.
size_t NamePattern::add_set(const std::u32string& pattern, size_t open) {
  const auto close = closing_bracket(pattern, open);
  if (!close) {
    tokens_.push_back({.kind = Token::Kind::kCharacter, .character = U'['});
    return open + 1;
  }
  size_t position = open + 1;
  Token token{.kind = Token::Kind::kSet, .negated = pattern[position] == U'!'};
  if (token.negated) ++position;
  while (position < *close) {
    const char32_t first = pattern[position];
    const bool range = position + 2 < *close && pattern[position + 1] == U'-';
    token.ranges.push_back({first, range ? pattern[position + 2] : first});
    position += range ? 3 : 1;
  }
  tokens_.push_back(std::move(token));
  return *close + 1;
}

NamePattern::NamePattern(std::string_view pattern) : literal_(longest_literal(pattern)) {
  const std::u32string text = characters(pattern);
  for (size_t i = 0; i < text.size();) {
    if (text[i] == U'[') {
      i = add_set(text, i);
      continue;
    }
    const char32_t character = text[i++];
    if (character == U'*') {
      tokens_.push_back({.kind = Token::Kind::kStar});
    } else if (character == U'?') {
      tokens_.push_back({.kind = Token::Kind::kAny});
    } else {
      tokens_.push_back({.kind = Token::Kind::kCharacter, .character = character});
    }
  }
}

bool NamePattern::matches(std::string_view name) const {
  if (name.find(literal_) == std::string_view::npos) return false;
  size_t token = 0;
  size_t position = 0;
  size_t star = tokens_.size();  // the last star seen, and where its text ends so far
  size_t star_end = 0;
  while (position < name.size() || token < tokens_.size()) {
    if (token < tokens_.size() && tokens_[token].kind == Token::Kind::kStar) {
      star = token++;
      star_end = position;
      continue;
    }
    if (token < tokens_.size() && position < name.size()) {
      size_t next = position;
      if (tokens_[token].accepts(next_character(name, next))) {
        position = next;
        ++token;
        continue;
      }
    }
    if (star == tokens_.size() || star_end >= name.size()) return false;
    next_character(name, star_end);
    position = star_end;
    token = star + 1;
  }
  return true;
}

}  // namespace lathe::quantization
