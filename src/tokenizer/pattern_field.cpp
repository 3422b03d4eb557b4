#include "tokenizer/pattern_field.h"

#include "base/error.h"

namespace lathe::tokenizer {

Pattern read_pattern(const JsonObject& object) {
  const JsonObject pattern = object.object("pattern");
  if (pattern.has("String")) return Pattern::literal(pattern.string("String"));
  if (!pattern.has("Regex")) pattern.fail("expected {\"String\": ...} or {\"Regex\": ...}");
  return with_context(pattern.where(), [&] { return Pattern::regex(pattern.string("Regex")); });
}

}  // namespace lathe::tokenizer
