#include <algorithm>

#include "base/error.h"
#include "tokenizer/model.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

/// The id of a word that has no token.
int64_t unknown_id(const Vocabulary& vocabulary, const std::string& unk_token) {
  const auto id = vocabulary.id_of(unk_token);
  if (!id)
    throw_data("the text needs the unk_token \"{}\", which is not in model.vocab", unk_token);
  return *id;
}

/// One token for a word (a text between two cuts of the pre-tokenizer).
class WordLevel : public Model {
 public:
  WordLevel(const JsonObject& fields, Vocabulary vocabulary)
      : Model(std::move(vocabulary)), unk_token_(fields.string("unk_token")) {}

  std::unique_ptr<WordEncoder> word_encoder() const override;
  const std::string& unk_token() const { return unk_token_; }

 private:
  std::string unk_token_;
};

class WordLevelEncoder : public WordEncoder {
 public:
  explicit WordLevelEncoder(const WordLevel& model) : model_(model) {}
  void encode(std::string_view word, std::vector<int64_t>& ids) override {
    const auto id = model_.vocabulary().id_of(word);
    ids.push_back(id ? *id : unknown_id(model_.vocabulary(), model_.unk_token()));
  }

 private:
  const WordLevel& model_;
};

std::unique_ptr<WordEncoder> WordLevel::word_encoder() const {
  return std::make_unique<WordLevelEncoder>(*this);
}

/// BERT's model: the longest token first; tokens inside a word carry a prefix ("##").
class WordPiece : public Model {
 public:
  WordPiece(const JsonObject& fields, Vocabulary vocabulary)
      : Model(std::move(vocabulary)),
        unk_token(fields.string("unk_token")),
        prefix(fields.string("continuing_subword_prefix")),
        max_characters(
            static_cast<size_t>(fields.integer("max_input_chars_per_word", 0, INT64_MAX))) {}

  std::unique_ptr<WordEncoder> word_encoder() const override;

  const std::string unk_token;
  const std::string prefix;
  const size_t max_characters;
};

class WordPieceEncoder : public WordEncoder {
 public:
  explicit WordPieceEncoder(const WordPiece& model) : model_(model) {}

  void encode(std::string_view word, std::vector<int64_t>& ids) override {
    const size_t first = ids.size();
    bool known = count_code_points(word) <= model_.max_characters;
    for (size_t begin = 0; known && begin < word.size();) {
      const size_t length = append_longest(word, begin, ids);
      known = length > 0;
      begin += length;
    }
    if (known) return;
    ids.resize(first);
    ids.push_back(unknown_id(model_.vocabulary(), model_.unk_token));
  }

 private:
  /// Appends the longest token that the rest of the word starts with, and returns its bytes of the
  /// word, 0 for none.
  size_t append_longest(std::string_view word, size_t begin, std::vector<int64_t>& ids) {
    size_t length = std::min(word.size() - begin, model_.vocabulary().longest());
    candidate_.assign(begin == 0 ? std::string() : model_.prefix);
    const size_t prefix = candidate_.size();
    candidate_.append(word.substr(begin, length));
    for (; length > 0; --length) {
      const bool boundary = begin + length == word.size() ||
                            (static_cast<unsigned char>(word[begin + length]) & 0xC0) != 0x80;
      if (!boundary) continue;
      const auto id =
          model_.vocabulary().id_of(std::string_view(candidate_).substr(0, prefix + length));
      if (!id) continue;
      ids.push_back(*id);
      return length;
    }
    return 0;
  }

  const WordPiece& model_;
  std::string candidate_;
};

std::unique_ptr<WordEncoder> WordPiece::word_encoder() const {
  return std::make_unique<WordPieceEncoder>(*this);
}

}  // namespace

std::unique_ptr<const Model> make_word_piece(const JsonObject& fields, TokenizerFile& file) {
  Vocabulary vocabulary = Vocabulary::from_map(file);
  return std::make_unique<WordPiece>(fields, std::move(vocabulary));
}

std::unique_ptr<const Model> make_word_level(const JsonObject& fields, TokenizerFile& file) {
  Vocabulary vocabulary = Vocabulary::from_map(file);
  return std::make_unique<WordLevel>(fields, std::move(vocabulary));
}

}  // namespace lathe::tokenizer
