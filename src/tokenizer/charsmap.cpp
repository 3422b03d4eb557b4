#include "tokenizer/charsmap.h"

#include <array>
#include <cstring>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr size_t kMaxGrapheme = 6;

std::string decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string result;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    const size_t value = kBase64.find(c);
    if (value == std::string_view::npos) throw_data("precompiled_charsmap is not base64");
    bits = (bits << 6) | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    result.push_back(static_cast<char>((bits >> count) & 0xFF));
  }
  return result;
}

uint32_t read_u32(std::string_view bytes, size_t offset) {
  std::array<unsigned char, 4> b;
  std::memcpy(b.data(), bytes.data() + offset, 4);
  return b[0] | (uint32_t{b[1]} << 8) | (uint32_t{b[2]} << 16) | (uint32_t{b[3]} << 24);
}

// The fields of a unit of the double array.
size_t unit_offset(uint32_t unit) {
  return static_cast<size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6);
}
uint32_t unit_label(uint32_t unit) { return unit & ((1u << 31) | 0xFF); }
bool unit_has_leaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
size_t unit_value(uint32_t unit) { return unit & ((1u << 31) - 1); }

}  // namespace

Charsmap::Charsmap(std::string_view base64) {
  const std::string bytes = decode_base64(base64);
  if (bytes.size() < 4)
    throw_data("precompiled_charsmap has {} bytes, expected at least 4", bytes.size());
  const size_t trie_size = read_u32(bytes, 0);
  if (trie_size > bytes.size() - 4) {
    throw_data("precompiled_charsmap: a trie of {} bytes in {} bytes", trie_size, bytes.size());
  }
  trie_.resize(trie_size / 4);
  for (size_t i = 0; i < trie_.size(); ++i) trie_[i] = read_u32(bytes, 4 + 4 * i);
  replacements_ = bytes.substr(4 + trie_size);
  if (trie_.empty()) throw_data("precompiled_charsmap: the trie is empty");
  if (!is_valid_utf8(replacements_)) throw_data("precompiled_charsmap: a replacement is not UTF-8");
}

std::optional<std::string_view> Charsmap::find(std::string_view text) const {
  size_t node = unit_offset(trie_[0]);
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    node ^= byte;
    if (node >= trie_.size() || unit_label(trie_[node]) != byte) return std::nullopt;
    const bool has_leaf = unit_has_leaf(trie_[node]);
    node ^= unit_offset(trie_[node]);
    if (!has_leaf) continue;
    if (node >= trie_.size()) throw_data("precompiled_charsmap: the trie points outside itself");
    const size_t begin = unit_value(trie_[node]);
    const auto continues = [&](size_t i) {
      return (static_cast<unsigned char>(replacements_[i]) & 0xC0) == 0x80;
    };
    if (begin > replacements_.size() || (begin < replacements_.size() && continues(begin))) {
      throw_data("precompiled_charsmap: the trie points at no replacement");
    }
    const size_t end = replacements_.find('\0', begin);
    return std::string_view(replacements_)
        .substr(begin, end == std::string::npos ? end : end - begin);
  }
  return std::nullopt;
}

std::string Charsmap::normalize(std::string_view text) const {
  std::string result;
  result.reserve(text.size());
  for_each_grapheme(text, [&](size_t begin, size_t end) {
    if (end - begin < kMaxGrapheme) {
      if (const auto replacement = find(text.substr(begin, end - begin))) {
        result += *replacement;
        return;
      }
    }
    for (size_t i = begin; i < end;) {
      const std::string_view character =
          text.substr(i, utf8_length(static_cast<unsigned char>(text[i])));
      result += find(character).value_or(character);
      i += character.size();
    }
  });
  return result;
}

}  // namespace lathe::tokenizer
