#include "tokenizer/model.h"

#include "base/error.h"

namespace lathe::tokenizer {

std::unique_ptr<const Model> make_model(TokenizerFile& file) {
  const JsonObject root(*file.fields, "tokenizer");
  const JsonObject fields = root.object("model");
  // Files of old versions have no type; their fields tell the models apart.
  std::string type = fields.has("type") ? fields.type() : std::string();
  if (type.empty()) {
    type = file.has_merges                           ? "BPE"
           : !file.token_indices.empty()             ? "Unigram"
           : fields.has("continuing_subword_prefix") ? "WordPiece"
                                                     : "WordLevel";
  }
  if (type == "BPE") return make_bpe(fields, file);
  if (type == "Unigram") return make_unigram(fields, file);
  if (type == "WordPiece") return make_word_piece(fields, file);
  if (type == "WordLevel") return make_word_level(fields, file);
  fields.fail_unknown_type();
}

std::vector<int64_t> byte_fallback_ids(const Vocabulary& vocabulary) {
  std::vector<int64_t> ids(256);
  for (unsigned byte = 0; byte < ids.size(); ++byte) {
    ids[byte] = vocabulary.id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
  return ids;
}

}  // namespace lathe::tokenizer
