#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::tokenizer {

/// A text on its way through the normalizers.
struct NormalizedText {
  std::string text;
  /// How many of the leading bytes come from the first character of the input. Metaspace's "first"
  /// looks at it.
  size_t origin_prefix = 0;
};

/// A part of a PreTokenizedText: text that is still to be tokenized, or an added token.
struct Piece {
  size_t begin;
  size_t end;
  size_t origin_prefix;  // as in NormalizedText
  int64_t id = -1;       // of an added token

  bool is_text() const { return id < 0; }
};

/// Pieces over one buffer, in order.
struct PreTokenizedText {
  std::string text;
  std::vector<Piece> pieces;

  std::string_view view(const Piece& piece) const {
    return std::string_view(text).substr(piece.begin, piece.end - piece.begin);
  }
};

/// The part [begin, end) of a piece, both relative to it.
inline Piece sub_piece(const Piece& piece, size_t begin, size_t end, int64_t id = -1) {
  const size_t prefix = piece.origin_prefix > begin ? piece.origin_prefix - begin : 0;
  return {piece.begin + begin, piece.begin + end, prefix < end - begin ? prefix : end - begin, id};
}

}  // namespace lathe::tokenizer
