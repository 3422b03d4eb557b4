#pragma once

#include <optional>

#include "frontends/gguf/vocabulary.h"
#include "io/gguf_reader.h"

namespace lathe::frontends {

/// The tokenizer of a GGUF file; nothing if it has none. DataError for fields of another type.
std::optional<GgufVocabulary> read_gguf_vocabulary(const io::GgufFile& file);

}  // namespace lathe::frontends
