#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <memory>

#include "base/error.h"
#include "tokenizer/unicode_tables.h"

namespace lathe::tokenizer {

namespace {

template <typename Range>
const Range* find_range(std::span<const Range> ranges, char32_t c) {
  const auto found =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t value, const Range& r) { return value < r.first; });
  if (found == ranges.begin() || std::prev(found)->last < c) return nullptr;
  return &*std::prev(found);
}

bool contains(std::span<const CodePointRange> ranges, char32_t c) {
  return find_range(ranges, c) != nullptr;
}

/// Length of the well-formed sequence at the start of `text`, or of the maximal part of a broken
/// one.
struct SequenceLength {
  size_t length;
  bool valid;
};

SequenceLength sequence_at(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const size_t length = utf8_length(lead);
  // The second byte keeps out overlong forms, surrogates and what lies above U+10FFFF.
  const unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size()) return {i, false};
    if (byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xBF)) return {i, false};
  }
  return {length, true};
}

}  // namespace

char32_t next_code_point(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[position + i]); };
  const unsigned char lead = byte(0);
  const size_t length = utf8_length(lead);
  char32_t c = length == 1 ? lead : lead & (0x7Fu >> length);
  for (size_t i = 1; i < length; ++i) c = (c << 6) | (byte(i) & 0x3Fu);
  position += length;
  return c;
}

void append_code_point(std::string& text, char32_t c) {
  const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    push(c);
  } else if (c < 0x800) {
    push(0xC0 | (c >> 6));
    push(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    push(0xE0 | (c >> 12));
    push(0x80 | ((c >> 6) & 0x3F));
    push(0x80 | (c & 0x3F));
  } else {
    push(0xF0 | (c >> 18));
    push(0x80 | ((c >> 12) & 0x3F));
    push(0x80 | ((c >> 6) & 0x3F));
    push(0x80 | (c & 0x3F));
  }
}

size_t count_code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool is_valid_utf8(std::string_view text) {
  for (size_t position = 0; position < text.size();) {
    const auto [length, valid] = sequence_at(text.substr(position));
    if (!valid) return false;
    position += length;
  }
  return true;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0; position < text.size();) {
    const auto [length, valid] = sequence_at(text.substr(position));
    if (valid) {
      result.append(text.substr(position, length));
    } else {
      append_code_point(result, kReplacementCharacter);
    }
    position += length;
  }
  return result;
}

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_word(char32_t c) { return contains(word_ranges(), c); }
bool is_numeric(char32_t c) { return contains(numeric_ranges(), c); }
bool is_punctuation(char32_t c) { return contains(punctuation_ranges(), c); }
bool is_bert_control(char32_t c) { return contains(bert_control_ranges(), c); }
bool is_nonspacing_mark(char32_t c) { return contains(nonspacing_mark_ranges(), c); }
bool is_combining_mark(char32_t c) { return contains(combining_mark_ranges(), c); }

void append_lower_case(std::string& text, char32_t c) {
  if (c < 0x80) {
    text.push_back(static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c));
  } else if (c == 0x130) {  // the only one that becomes two: i and a dot above
    text.append("i\xCC\x87");
  } else if (const auto* range = find_range(lower_case_ranges(), c)) {
    append_code_point(text, static_cast<char32_t>(static_cast<int32_t>(c) + range->delta));
  } else {
    append_code_point(text,
                      static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

bool is_grapheme_break(char32_t left, char32_t right, int& state) {
  return utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(left),
                                          static_cast<utf8proc_int32_t>(right), &state);
}

namespace {

utf8proc_option_t normal_form_options(NormalForm form) {
  int options = UTF8PROC_STABLE;
  options |=
      form == NormalForm::kNfc || form == NormalForm::kNfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kNfkc || form == NormalForm::kNfkd) options |= UTF8PROC_COMPAT;
  return static_cast<utf8proc_option_t>(options);
}

void append_mapped(std::string& result, std::string_view text, utf8proc_option_t options) {
  if (text.empty()) return;
  utf8proc_uint8_t* mapped = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &mapped, options);
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  check_internal(size >= 0, "utf8proc_map: {}", size < 0 ? utf8proc_errmsg(size) : "");
  result.append(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<signed char>(c) >= 0; });
}

}  // namespace

std::string normal_form(std::string_view text, NormalForm form) {
  if (is_ascii(text)) return std::string(text);
  const auto options = normal_form_options(form);
  std::string result;
  result.reserve(text.size());
  size_t begin = 0;
  for (size_t position = 0; position < text.size();) {
    const size_t start = position;
    const char32_t c = next_code_point(text, position);
    if (c < 0x7FD || !contains(no_normal_form_ranges(), c)) continue;
    append_mapped(result, text.substr(begin, start - begin), options);
    result.append(text.substr(start, position - start));
    begin = position;
  }
  append_mapped(result, text.substr(begin), options);
  return result;
}

}  // namespace lathe::tokenizer
