#include "frontends/gguf/gguf_vocabulary.h"

#include <limits>

#include "base/error.h"

namespace lathe::frontends {
namespace {

std::vector<int32_t> read_token_types(const io::GgufFile& file) {
  constexpr const char* kKey = "tokenizer.ggml.token_type";
  std::vector<int32_t> types;
  const auto found = file.metadata().find_ints(kKey);
  if (!found) return types;
  types.reserve(found->size());
  for (int64_t type : *found) {
    if (type < 0 || type > std::numeric_limits<int32_t>::max()) {
      throw_data("{}: {} holds {}, which is no type of a token", file.path().string(), kKey, type);
    }
    types.push_back(static_cast<int32_t>(type));
  }
  return types;
}

}  // namespace

std::optional<GgufVocabulary> read_gguf_vocabulary(const io::GgufFile& file) {
  const io::GgufMetadata& metadata = file.metadata();
  if (!metadata.contains("tokenizer.ggml.model")) return std::nullopt;
  GgufVocabulary vocabulary;
  vocabulary.model = metadata.get_string("tokenizer.ggml.model");
  vocabulary.pre = metadata.find_string("tokenizer.ggml.pre").value_or("");
  vocabulary.tokens = metadata.get_strings("tokenizer.ggml.tokens");
  vocabulary.token_types = read_token_types(file);
  vocabulary.scores = metadata.find_floats("tokenizer.ggml.scores").value_or(std::vector<float>());
  if (metadata.contains("tokenizer.ggml.merges")) {
    vocabulary.merges = metadata.get_strings("tokenizer.ggml.merges");
  }
  vocabulary.bos_id = metadata.find_i64("tokenizer.ggml.bos_token_id");
  vocabulary.eos_id = metadata.find_i64("tokenizer.ggml.eos_token_id");
  vocabulary.unk_id = metadata.find_i64("tokenizer.ggml.unknown_token_id");
  vocabulary.pad_id = metadata.find_i64("tokenizer.ggml.padding_token_id");
  vocabulary.add_bos = metadata.find_bool("tokenizer.ggml.add_bos_token");
  vocabulary.add_eos = metadata.find_bool("tokenizer.ggml.add_eos_token");
  vocabulary.add_space_prefix = metadata.find_bool("tokenizer.ggml.add_space_prefix");
  vocabulary.chat_template = metadata.find_string("tokenizer.chat_template").value_or("");
  return vocabulary;
}

}  // namespace lathe::frontends
