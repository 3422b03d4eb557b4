#include "base/error.h"
#include "tokenizer/gguf_defaults.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

using Json = nlohmann::json;  // sorted: an ordered one takes quadratic time for many added tokens

void check_lengths(const GgufVocabulary& vocabulary) {
  const size_t count = vocabulary.tokens.size();
  if (count == 0 || count > static_cast<size_t>(kMaxTokenId)) {
    throw_data("tokenizer.ggml.tokens has {} tokens, expected 1 to {}", count, kMaxTokenId);
  }
  if (!vocabulary.token_types.empty() && vocabulary.token_types.size() != count) {
    throw_data("tokenizer.ggml.token_type has {} entries for {} tokens",
               vocabulary.token_types.size(), count);
  }
  if (vocabulary.model == "llama" && vocabulary.scores.size() != count) {
    throw_data("tokenizer.ggml.scores has {} entries for {} tokens", vocabulary.scores.size(),
               count);
  }
  for (size_t id = 0; id < count; ++id) {
    if (!is_valid_utf8(vocabulary.tokens[id]))
      throw_data("tokenizer.ggml.tokens: {} is not UTF-8", id);
  }
}

void check_id(const GgufVocabulary& vocabulary, std::optional<int64_t> id, std::string_view name) {
  if (id && (*id < 0 || *id >= static_cast<int64_t>(vocabulary.tokens.size()))) {
    throw_data("tokenizer.ggml.{}_token_id is {}, expected 0 to {}", name, *id,
               vocabulary.tokens.size() - 1);
  }
}

/// SentencePiece's own ids, for files that do not name them.
void set_sentencepiece_ids(GgufVocabulary& vocabulary) {
  constexpr size_t kUnk = 0, kBos = 1, kEos = 2;
  const auto is = [&](size_t id, GgufTokenType type) {
    return id < vocabulary.token_types.size() && token_type(vocabulary, id) == type;
  };
  if (!vocabulary.unk_id && is(kUnk, GgufTokenType::kUnknown)) vocabulary.unk_id = kUnk;
  if (!vocabulary.bos_id && is(kBos, GgufTokenType::kControl)) vocabulary.bos_id = kBos;
  if (!vocabulary.eos_id && is(kEos, GgufTokenType::kControl)) vocabulary.eos_id = kEos;
}

}  // namespace

GgufTokenType token_type(const GgufVocabulary& vocabulary, size_t id) {
  if (!vocabulary.token_types.empty())
    return static_cast<GgufTokenType>(vocabulary.token_types[id]);
  const auto number = static_cast<int64_t>(id);
  if (vocabulary.unk_id == number) return GgufTokenType::kUnknown;
  const bool control =
      vocabulary.bos_id == number || vocabulary.eos_id == number || vocabulary.pad_id == number;
  return control ? GgufTokenType::kControl : GgufTokenType::kNormal;
}

bool is_added_token(const GgufVocabulary& vocabulary, size_t id) {
  const GgufTokenType type = token_type(vocabulary, id);
  return type == GgufTokenType::kControl || type == GgufTokenType::kUserDefined ||
         type == GgufTokenType::kUnknown;
}

GgufVocabulary checked_vocabulary(GgufVocabulary vocabulary) {
  const bool sentencepiece = vocabulary.model == "llama";
  if (!sentencepiece && vocabulary.model != "gpt2") {
    throw_data("tokenizer.ggml.model \"{}\" is not supported, expected gpt2 or llama",
               vocabulary.model);
  }
  check_lengths(vocabulary);
  if (!is_valid_utf8(vocabulary.chat_template)) {
    throw_data("tokenizer.chat_template is not UTF-8");
  }
  check_id(vocabulary, vocabulary.bos_id, "bos");
  check_id(vocabulary, vocabulary.eos_id, "eos");
  check_id(vocabulary, vocabulary.unk_id, "unknown");
  check_id(vocabulary, vocabulary.pad_id, "padding");
  if (sentencepiece) set_sentencepiece_ids(vocabulary);
  if (vocabulary.add_bos.value_or(false) && !vocabulary.bos_id) {
    throw_data("tokenizer.ggml.add_bos_token is true, and bos_token_id is missing");
  }
  if (vocabulary.add_eos.value_or(false) && !vocabulary.eos_id) {
    throw_data("tokenizer.ggml.add_eos_token is true, and eos_token_id is missing");
  }
  const bool adds_bos = sentencepiece || gguf_pre_tokenizer(vocabulary.pre).add_bos;
  vocabulary.add_bos = vocabulary.add_bos.value_or(adds_bos && vocabulary.bos_id);
  vocabulary.add_eos = vocabulary.add_eos.value_or(false);
  vocabulary.add_space_prefix = vocabulary.add_space_prefix.value_or(sentencepiece);
  return vocabulary;
}

std::string tokenizer_config_json(const GgufVocabulary& source) {
  const GgufVocabulary vocabulary = checked_vocabulary(source);
  Json config = {{"add_bos_token", *vocabulary.add_bos}, {"add_eos_token", *vocabulary.add_eos}};
  Json& added = config["added_tokens_decoder"] = Json::object();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!is_added_token(vocabulary, id) || vocabulary.tokens[id].empty()) continue;
    added.emplace(std::to_string(id),
                  Json{{"content", vocabulary.tokens[id]},
                       {"lstrip", false},
                       {"normalized", false},
                       {"rstrip", false},
                       {"single_word", false},
                       {"special", token_type(vocabulary, id) != GgufTokenType::kUserDefined}});
  }
  const auto set_token = [&](const char* name, std::optional<int64_t> id) {
    if (id) config[name] = vocabulary.tokens[static_cast<size_t>(*id)];
  };
  set_token("bos_token", vocabulary.bos_id);
  set_token("eos_token", vocabulary.eos_id);
  set_token("unk_token", vocabulary.unk_id);
  set_token("pad_token", vocabulary.pad_id);
  if (!vocabulary.chat_template.empty()) config["chat_template"] = vocabulary.chat_template;
  config["clean_up_tokenization_spaces"] = false;
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  return config.dump(2) + "\n";
}

}  // namespace lathe::tokenizer
