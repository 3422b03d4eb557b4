#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tokenizer/json_fields.h"

namespace lathe::tokenizer {

/// A decoder of a tokenizer.json: rewrites the list of tokens, whose concatenation is the text.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::vector<std::string> apply(std::vector<std::string> tokens) const = 0;
};

std::unique_ptr<const Decoder> make_decoder(const JsonObject& object);

}  // namespace lathe::tokenizer
