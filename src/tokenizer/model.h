#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "tokenizer/json_fields.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/vocabulary.h"

namespace lathe::tokenizer {

/// Tokenizes words one after the other; holds what they share (a cache, buffers). For one thread.
class WordEncoder {
 public:
  virtual ~WordEncoder() = default;
  /// Appends the ids of a non-empty word.
  virtual void encode(std::string_view word, std::vector<int64_t>& ids) = 0;
};

/// The model of a tokenizer.json: BPE, Unigram, WordPiece or WordLevel.
class Model {
 public:
  explicit Model(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  virtual ~Model() = default;
  /// The encoder refers to the model.
  virtual std::unique_ptr<WordEncoder> word_encoder() const = 0;
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
};

/// Builds the model; takes vocab and merges out of the file. DataError for an unknown type or a
/// wrong field.
std::unique_ptr<const Model> make_model(TokenizerFile& file);

std::unique_ptr<const Model> make_bpe(const JsonObject& fields, TokenizerFile& file);
std::unique_ptr<const Model> make_unigram(const JsonObject& fields, TokenizerFile& file);
std::unique_ptr<const Model> make_word_piece(const JsonObject& fields, TokenizerFile& file);
std::unique_ptr<const Model> make_word_level(const JsonObject& fields, TokenizerFile& file);

/// The ids of <0x00> to <0xFF>, -1 where there is none.
std::vector<int64_t> byte_fallback_ids(const Vocabulary& vocabulary);

}  // namespace lathe::tokenizer
