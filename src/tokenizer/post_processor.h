#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tokenizer/json_fields.h"

namespace lathe::tokenizer {

/// The parts of an encoding, which are joined in the end. One part goes in.
using IdParts = std::vector<std::vector<int64_t>>;

/// A post-processor of a tokenizer.json: adds special tokens around the ids of a text.
class PostProcessor {
 public:
  virtual ~PostProcessor() = default;
  virtual IdParts apply(IdParts parts, bool add_special_tokens) const = 0;
};

std::unique_ptr<const PostProcessor> make_post_processor(const JsonObject& object);

}  // namespace lathe::tokenizer
