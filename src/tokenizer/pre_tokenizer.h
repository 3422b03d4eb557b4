#pragma once

#include <memory>

#include "tokenizer/json_fields.h"
#include "tokenizer/text_piece.h"

namespace lathe::tokenizer {

/// A pre-tokenizer of a tokenizer.json: splits text pieces into words, and may rewrite them.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(PreTokenizedText& text) const = 0;
};

/// Builds the pre-tokenizer that the object describes. DataError for an unknown type or a wrong
/// field.
std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const JsonObject& object);

/// The settings of a Metaspace, which is a pre-tokenizer and a decoder.
struct Metaspace {
  enum class Prepend { kAlways, kNever, kFirst };

  explicit Metaspace(const JsonObject& object);

  char32_t replacement;
  Prepend prepend;
  bool split;
};

}  // namespace lathe::tokenizer
