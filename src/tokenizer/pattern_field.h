#pragma once

#include "tokenizer/json_fields.h"
#include "tokenizer/regex.h"

namespace lathe::tokenizer {

/// The field "pattern" of a Split or Replace: {"String": s} or {"Regex": r}.
Pattern read_pattern(const JsonObject& object);

}  // namespace lathe::tokenizer
