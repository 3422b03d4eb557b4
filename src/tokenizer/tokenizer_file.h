#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/string_table.h"

namespace lathe::tokenizer {

/// A tokenizer.json: its large parts, model.vocab and model.merges, in flat form, everything else
/// as it is.
struct TokenizerFile {
  std::shared_ptr<nlohmann::json> fields;  // without model.vocab and model.merges

  bool has_vocab = false;
  StringTable tokens{1024};
  std::vector<int64_t>
      ids;  // vocab as an object: the id of tokens[i]; a repeated token has its last id
  std::vector<double>
      scores;  // vocab as an array of [token, score]: then token_indices has one entry for each
  std::vector<uint32_t> token_indices;

  bool has_merges = false;
  std::string merge_text;           // left and right of all merges, one behind the other
  std::vector<size_t> merge_parts;  // the ends of these parts: two for each merge

  size_t merge_count() const { return merge_parts.size() / 2; }
  std::string_view merge_part(size_t i) const {
    const size_t begin = i == 0 ? 0 : merge_parts[i - 1];
    return std::string_view(merge_text).substr(begin, merge_parts[i] - begin);
  }
};

/// Parses the text; DataError for broken JSON (with line and column), deep nesting, or a vocab or
/// merges of another form.
TokenizerFile parse_tokenizer_file(std::string_view json);

}  // namespace lathe::tokenizer
