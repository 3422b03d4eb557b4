#pragma once

#include <memory>

#include "tokenizer/json_fields.h"
#include "tokenizer/text_piece.h"

namespace lathe::tokenizer {

/// A normalizer of a tokenizer.json: rewrites a text (valid UTF-8) before it is split.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  virtual void apply(NormalizedText& text) const = 0;
};

/// Builds the normalizer that the object describes. DataError for an unknown type or a wrong field.
std::unique_ptr<const Normalizer> make_normalizer(const JsonObject& object);

/// DataError if a text grew beyond what rules of a sane tokenizer make of `input_size` bytes.
void check_growth(size_t size, size_t input_size);

}  // namespace lathe::tokenizer
