#include "api/model_impl.h"
#include "tokenizer/gguf_vocabulary.h"

namespace lathe::api {
namespace {

tokenizer::GgufVocabulary to_tokenizer(const frontends::GgufVocabulary& from) {
  return {.model = from.model,
          .pre = from.pre,
          .tokens = from.tokens,
          .token_types = from.token_types,
          .scores = from.scores,
          .merges = from.merges,
          .bos_id = from.bos_id,
          .eos_id = from.eos_id,
          .unk_id = from.unk_id,
          .pad_id = from.pad_id,
          .add_bos = from.add_bos,
          .add_eos = from.add_eos,
          .add_space_prefix = from.add_space_prefix,
          .chat_template = from.chat_template};
}

}  // namespace

void add_tokenizer_files(ir::Model& model, const frontends::GgufVocabulary& vocabulary) {
  const tokenizer::GgufVocabulary source = to_tokenizer(vocabulary);
  model.files.push_back(
      {.name = "tokenizer.json", .source = {}, .contents = tokenizer_json(source)});
  model.files.push_back(
      {.name = "tokenizer_config.json", .source = {}, .contents = tokenizer_config_json(source)});
}

}  // namespace lathe::api
