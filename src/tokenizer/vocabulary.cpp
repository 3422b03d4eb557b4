#include "tokenizer/vocabulary.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/json_fields.h"

namespace lathe::tokenizer {

namespace {

size_t longest_token(const StringTable& tokens) {
  size_t longest = 0;
  for (uint32_t i = 0; i < tokens.size(); ++i) longest = std::max(longest, tokens[i].size());
  return longest;
}

}  // namespace

Vocabulary Vocabulary::from_map(TokenizerFile& file) {
  if (!file.has_vocab || !file.token_indices.empty())
    throw_data("model.vocab must be a map from tokens to ids");
  Vocabulary result;
  result.tokens_ = std::move(file.tokens);
  result.ids_ = std::move(file.ids);
  result.size_ = static_cast<int64_t>(result.tokens_.size());
  result.longest_ = longest_token(result.tokens_);
  const auto last = std::max_element(result.ids_.begin(), result.ids_.end());
  result.indices_.assign(last == result.ids_.end() ? 0 : static_cast<size_t>(*last) + 1, -1);
  for (uint32_t i = 0; i < result.tokens_.size(); ++i) {
    int32_t& index = result.indices_[static_cast<size_t>(result.ids_[i])];
    if (index >= 0) {
      throw_data("model.vocab gives the id {} to \"{}\" and to \"{}\"", result.ids_[i],
                 result.tokens_[static_cast<uint32_t>(index)], result.tokens_[i]);
    }
    index = static_cast<int32_t>(i);
  }
  return result;
}

Vocabulary Vocabulary::from_list(TokenizerFile& file) {
  if (!file.has_vocab || !file.ids.empty())
    throw_data("model.vocab must be a list of [token, score]");
  if (file.token_indices.size() > static_cast<size_t>(kMaxTokenId)) {
    throw_data("model.vocab has {} tokens, expected at most {}", file.token_indices.size(),
               kMaxTokenId);
  }
  Vocabulary result;
  result.tokens_ = std::move(file.tokens);
  result.ids_.resize(result.tokens_.size());
  result.indices_.assign(file.token_indices.begin(), file.token_indices.end());
  result.size_ = result.id_limit();
  result.longest_ = longest_token(result.tokens_);
  for (size_t id = 0; id < result.indices_.size(); ++id) {
    result.ids_[static_cast<size_t>(result.indices_[id])] = static_cast<int64_t>(id);
  }
  return result;
}

}  // namespace lathe::tokenizer
