#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tokenizer/flat_map.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/split.h"
#include "tokenizer/vocabulary.h"

namespace lathe::tokenizer {

struct AddedToken {
  std::string content;
  std::string
      normalized;  // the content as the normalizer leaves it, if the token is matched after it
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool is_normalized = false;
  bool special = false;
};

/// A part of a text: an added token, or what lies between two.
struct TokenMatch {
  size_t begin;
  size_t end;
  int64_t id;  // -1 for text
};

/// The section added_tokens. Tokens with normalized = false are searched in the input, the others
/// in the normalized text.
class AddedTokens {
 public:
  /// The ids are those of the model, or counted from the model's size: the ids in the file are only
  /// a comment (the first difference is logged). DataError for wrong fields.
  AddedTokens(const nlohmann::json& section, const Vocabulary& vocabulary,
              const Normalizer* normalizer);

  /// Cuts a text into added tokens and the rest; everything if nothing is found.
  void find(std::string_view text, bool normalized, std::vector<TokenMatch>& matches) const;
  bool has(bool normalized) const { return !tries_[normalized].empty(); }

  std::optional<int64_t> id_of(std::string_view content) const;
  const AddedToken* token_of(int64_t id) const;
  /// Whether this text, as decoding sees it, is that of a special token.
  bool is_special_content(const std::string& content) const { return special_.contains(content); }

  const std::map<int64_t, AddedToken>& tokens() const { return tokens_; }

 private:
  /// Finds the longest of its strings at a place.
  class Trie {
   public:
    void insert(std::string_view text, int64_t id);
    /// The length and id of the longest string that `text` starts with; length 0 if there is none.
    std::pair<size_t, int64_t> longest(std::string_view text) const;
    bool empty() const { return ids_.size() == 1; }

   private:
    FlatMap edges_;                 // node << 8 | byte to node
    std::vector<int64_t> ids_{-1};  // by node
    std::array<bool, 256> starts_{};
  };

  void add(const JsonObject& fields, const Vocabulary& vocabulary, const Normalizer* normalizer,
           int64_t& next_id);
  bool accepts(const AddedToken& token, std::string_view text, size_t begin, size_t end) const;

  std::map<int64_t, AddedToken> tokens_;
  std::unordered_map<std::string, int64_t> ids_;
  std::unordered_set<std::string> special_;
  std::array<Trie, 2> tries_;  // [is_normalized]
  int64_t renumbered_ = 0;     // tokens whose id in the file is another
};

}  // namespace lathe::tokenizer
