#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/bpe.h"
#include "tokenizer/string_table.h"

namespace lathe::tokenizer {

/// Merges the characters of a word, best rank first, leftmost first among equals; remembers words.
class BpeEncoder : public WordEncoder {
 public:
  explicit BpeEncoder(const Bpe& model) : model_(model) {}

  void encode(std::string_view word, std::vector<int64_t>& ids) override;

 private:
  struct Symbol {
    int32_t id;
    int32_t previous;
    int32_t next;
    bool alive = true;
  };
  struct Candidate {
    uint32_t rank;
    int32_t position;
    int32_t id;
    /// For the heap functions, which keep the largest in front.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };

  void encode_cached(std::string_view word, std::vector<int64_t>& ids);
  void encode_word(std::string_view word);
  void append_characters(std::string_view word);
  int32_t character_id(std::string_view character, char32_t c, bool first, bool last);
  bool append_bytes(std::string_view text);
  void append_unknown();
  void flush_unknown();
  void append_symbol(int32_t id);
  void merge_symbols();
  void apply_merge(const Candidate& candidate);
  void push_candidate(int32_t left, int32_t right);

  const Bpe& model_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  bool unknown_pending_ = false;
  std::string affixed_;

  // The cache: words_[i] has the ids from cached_ends_[i - 1] to cached_ends_[i].
  StringTable words_{1024};
  std::vector<size_t> cached_ends_;
  std::vector<int32_t> cached_ids_;
};

}  // namespace lathe::tokenizer
