#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tokenizer {

/// SentencePiece's precompiled normalization rules: a double array trie (Darts-clone layout) from a
/// sequence of bytes to a place in a list of NUL-terminated replacements.
class Charsmap {
 public:
  /// `base64`: the field precompiled_charsmap. DataError if it is not what it should be.
  explicit Charsmap(std::string_view base64);

  /// The replacement of the shortest rule that `text` starts with, if there is one.
  std::optional<std::string_view> find(std::string_view text) const;

  /// Each grapheme cluster of less than 6 bytes is replaced as a whole if a rule matches its start;
  /// otherwise each of its characters.
  std::string normalize(std::string_view text) const;

 private:
  std::vector<uint32_t> trie_;
  std::string replacements_;
};

}  // namespace lathe::tokenizer
