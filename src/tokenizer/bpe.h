#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tokenizer/flat_map.h"
#include "tokenizer/model.h"

namespace lathe::tokenizer {

/// What two neighbouring tokens become. Ranks count the merges of the file from 0, the best.
struct Merge {
  uint32_t rank;
  int32_t id;
};

/// Bpe::unk_id() of a file whose unk_token is not in its vocabulary.
constexpr int32_t kMissingUnk = -2;

/// Byte pair encoding (Sennrich et al. 2016, arXiv:1508.07909). "dropout" is ignored: encoding is
/// deterministic.
class Bpe : public Model {
 public:
  Bpe(const JsonObject& fields, TokenizerFile& file, Vocabulary vocabulary);

  std::unique_ptr<WordEncoder> word_encoder() const override;

  std::optional<Merge> merge_of(int32_t left, int32_t right) const {
    const uint64_t* found = merges_.find(pair_key(left, right));
    if (found == nullptr) return std::nullopt;
    return Merge{static_cast<uint32_t>(*found >> 32), static_cast<int32_t>(*found & 0xFFFFFFFFu)};
  }

  /// The token of a character that stands alone, -1 if there is none. Not for models with a prefix
  /// or suffix.
  int32_t id_of_character(char32_t c, std::string_view text) const;

  const std::string& prefix() const { return prefix_; }
  const std::string& suffix() const { return suffix_; }
  bool has_affixes() const { return !prefix_.empty() || !suffix_.empty(); }
  bool ignore_merges() const { return ignore_merges_; }
  bool fuse_unk() const { return fuse_unk_; }
  /// -1 if characters without a token are left out, kMissingUnk if they are an error.
  int32_t unk_id() const { return unk_id_; }
  /// Empty without byte_fallback.
  const std::vector<int64_t>& byte_ids() const { return byte_ids_; }
  /// Whether no merge joins something to a "▁" behind it that does not start with one: then a text
  /// can be cut there.
  bool cuts_at_metaspace() const { return cuts_at_metaspace_; }

 private:
  static uint64_t pair_key(int32_t left, int32_t right) {
    return (static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32) |
           static_cast<uint32_t>(right);
  }
  void read_merges(const TokenizerFile& file);
  void index_characters();

  std::string prefix_;
  std::string suffix_;
  bool fuse_unk_;
  bool ignore_merges_;
  bool cuts_at_metaspace_ = false;
  int32_t unk_id_ = -1;
  std::vector<int64_t> byte_ids_;
  FlatMap merges_;
  std::vector<int32_t>
      character_ids_;  // by code point, for the first planes' tokens of one character
};

}  // namespace lathe::tokenizer
