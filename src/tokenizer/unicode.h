#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lathe::tokenizer {

constexpr char32_t kReplacementCharacter = 0xFFFD;

/// The code point that starts at text[position], and moves position behind it. The text must be
/// valid UTF-8.
char32_t next_code_point(std::string_view text, size_t& position);

/// Bytes of the code point that starts with this byte of valid UTF-8.
inline size_t utf8_length(unsigned char lead) {
  return lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

void append_code_point(std::string& text, char32_t code_point);
size_t count_code_points(std::string_view text);
bool is_valid_utf8(std::string_view text);

/// Each maximal part of an invalid sequence becomes one U+FFFD (Unicode 15, section 3.9; Python's
/// errors="replace").
std::string replace_invalid_utf8(std::string_view text);

/// Unicode's White_Space.
bool is_white_space(char32_t c);
bool is_word(char32_t c);
bool is_numeric(char32_t c);
bool is_punctuation(char32_t c);
bool is_bert_control(char32_t c);
bool is_nonspacing_mark(char32_t c);
bool is_combining_mark(char32_t c);

void append_lower_case(std::string& text, char32_t c);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
std::string normal_form(std::string_view text, NormalForm form);

/// Calls function(begin, end) for each extended grapheme cluster (Unicode TR29).
template <typename Function>
void for_each_grapheme(std::string_view text, const Function& function);

/// Whether a grapheme cluster ends between two code points; `state` starts at 0 with each text.
bool is_grapheme_break(char32_t left, char32_t right, int& state);

template <typename Function>
void for_each_grapheme(std::string_view text, const Function& function) {
  if (text.empty()) return;
  size_t begin = 0, position = 0;
  int state = 0;
  char32_t left = next_code_point(text, position);
  while (position < text.size()) {
    const size_t boundary = position;
    const char32_t right = next_code_point(text, position);
    if (is_grapheme_break(left, right, state)) {
      function(begin, boundary);
      begin = boundary;
    }
    left = right;
  }
  function(begin, text.size());
}

}  // namespace lathe::tokenizer
