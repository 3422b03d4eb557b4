#pragma once

#include <vector>

#include "tokenizer/json_fields.h"
#include "tokenizer/regex.h"
#include "tokenizer/text_piece.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

/// What becomes of the matches of a split pattern. "the-final--countdown" split at "-":
enum class SplitBehavior {
  kRemoved,             // the final countdown
  kIsolated,            // the - final - - countdown
  kMergedWithPrevious,  // the- final- - countdown
  kMergedWithNext,      // the -final - -countdown
  kContiguous,          // the - final -- countdown
};

SplitBehavior read_split_behavior(const JsonObject& object, const std::string& name);

/// Turns the segments that a pattern found into the pieces that are kept.
void apply_behavior(SplitBehavior behavior, std::vector<Segment>& segments);

/// Cuts a text into segments at each character for which predicate(c) is true.
template <typename Predicate>
void find_characters(std::string_view text, const Predicate& predicate,
                     std::vector<Segment>& segments) {
  size_t covered = 0;
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    if (!predicate(next_code_point(text, position))) continue;
    if (covered != begin) segments.push_back({covered, begin, false});
    segments.push_back({begin, position, true});
    covered = position;
  }
  if (covered != text.size()) segments.push_back({covered, text.size(), false});
}

/// Replaces each text piece by the non-empty segments that find(view, segments) gives for it.
template <typename Find>
void split_pieces(PreTokenizedText& text, const Find& find) {
  std::vector<Piece> result;
  result.reserve(text.pieces.size() * 2);
  std::vector<Segment> segments;
  for (const Piece& piece : text.pieces) {
    if (!piece.is_text()) {
      result.push_back(piece);
      continue;
    }
    segments.clear();
    find(text.view(piece), segments);
    for (const Segment& segment : segments) {
      if (segment.begin != segment.end)
        result.push_back(sub_piece(piece, segment.begin, segment.end));
    }
  }
  text.pieces = std::move(result);
}

/// Rewrites each text piece: rewrite(view, origin_prefix, result) appends the new text and returns
/// its origin_prefix.
template <typename Rewrite>
void rewrite_pieces(PreTokenizedText& text, const Rewrite& rewrite) {
  std::string result;
  result.reserve(text.text.size() + text.text.size() / 4 + text.pieces.size());
  for (Piece& piece : text.pieces) {
    const size_t begin = result.size();
    if (piece.is_text())
      piece.origin_prefix = rewrite(text.view(piece), piece.origin_prefix, result);
    piece.begin = begin;
    piece.end = result.size();
  }
  text.text = std::move(result);
}

}  // namespace lathe::tokenizer
