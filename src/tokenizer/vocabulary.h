#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tokenizer/string_table.h"
#include "tokenizer/tokenizer_file.h"

namespace lathe::tokenizer {

/// The tokens of a model and their ids, which need not be contiguous.
class Vocabulary {
 public:
  /// Takes the tokens of a file whose vocab is an object. DataError if an id is given to two
  /// tokens.
  static Vocabulary from_map(TokenizerFile& file);
  /// Takes those of a file whose vocab is an array: the id is the place in it. Of equal tokens the
  /// last one is found.
  static Vocabulary from_list(TokenizerFile& file);

  std::optional<int64_t> id_of(std::string_view token) const {
    const auto index = tokens_.find(token);
    if (!index) return std::nullopt;
    return ids_[*index];
  }
  std::optional<std::string_view> token_of(int64_t id) const {
    if (id < 0 || id >= id_limit() || indices_[static_cast<size_t>(id)] < 0) return std::nullopt;
    return tokens_[static_cast<uint32_t>(indices_[static_cast<size_t>(id)])];
  }

  /// How many tokens the file lists: the first id for tokens that are added.
  int64_t size() const { return size_; }
  int64_t id_limit() const { return static_cast<int64_t>(indices_.size()); }
  /// The longest token in bytes.
  size_t longest() const { return longest_; }

 private:
  StringTable tokens_;
  std::vector<int64_t> ids_;      // by index in tokens_
  std::vector<int32_t> indices_;  // by id, -1 where there is no token
  int64_t size_ = 0;
  size_t longest_ = 0;
};

}  // namespace lathe::tokenizer
