#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tokenizer/gguf_vocabulary.h"

namespace lathe::tokenizer {

/// How a byte-level BPE of a GGUF file splits text, by the name in tokenizer.ggml.pre.
struct GgufPreTokenizer {
  nlohmann::ordered_json normalizer;  // or null
  nlohmann::ordered_json pre_tokenizer;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
};

/// DataError for a name that is not known; the message lists those that are.
GgufPreTokenizer gguf_pre_tokenizer(const std::string& pre);

/// A GgufVocabulary whose parts fit together, with the optional fields filled in.
GgufVocabulary checked_vocabulary(GgufVocabulary vocabulary);

GgufTokenType token_type(const GgufVocabulary& vocabulary, size_t id);
/// Tokens that are searched in the text before it is split: control and user-defined ones, and the
/// unknown token.
bool is_added_token(const GgufVocabulary& vocabulary, size_t id);

}  // namespace lathe::tokenizer
