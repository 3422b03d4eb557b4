#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/gguf_vocabulary.h"

namespace lathe::tokenizer {

struct Pipeline;

/// A Hugging Face tokenizer: text to token ids and back, with exactly the ids of the `tokenizers`
/// package. A value type that is cheap to copy; every const function may be called from many
/// threads at once.
class Tokenizer {
 public:
  /// Reads the text of a tokenizer.json. `source_name` (a path) names it in errors. The sections
  /// "truncation" and "padding" are ignored, as transformers does unless asked: encode gives all
  /// ids of the text. DataError for broken content and for a component that Lathe does not know
  /// (the message names it).
  static Tokenizer from_json(std::string_view json, std::string source_name);

  /// The same as from_json(tokenizer_json(vocabulary)).
  static Tokenizer from_gguf(const GgufVocabulary& vocabulary, std::string source_name);

  /// The ids of a text. Invalid UTF-8 is read as U+FFFD, one for each maximal part of a broken
  /// sequence. `add_special_tokens`: also what the post-processor adds ([CLS], <s>, ...). Added
  /// tokens that stand in the text are always recognized.
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens) const;

  /// encode() of each text, in parallel.
  std::vector<std::vector<int64_t>> encode_batch(std::span<const std::string> texts,
                                                 bool add_special_tokens) const;

  /// The text of ids; ids that are not in the vocabulary are left out. `skip_special_tokens`:
  /// leaves out the added tokens that are marked special.
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const;

  /// Number of distinct tokens, added tokens included.
  int64_t vocab_size() const;
  /// One more than the largest id; the embedding of the model has at least this many rows.
  int64_t id_limit() const;

  std::optional<int64_t> id_of(std::string_view token) const;
  /// The token as the vocabulary writes it ("Ġthe", "▁the", "##ing"), not its decoded text.
  std::optional<std::string> token_of(int64_t id) const;
  /// Whether it is an added token that is marked special.
  bool is_special(int64_t id) const;

 private:
  explicit Tokenizer(std::shared_ptr<const Pipeline> pipeline);

  std::shared_ptr<const Pipeline> pipeline_;
};

}  // namespace lathe::tokenizer
