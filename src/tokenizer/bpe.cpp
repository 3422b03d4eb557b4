#include "tokenizer/bpe.h"

#include "base/error.h"
#include "tokenizer/bpe_encoder.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

constexpr char32_t kIndexedCharacters = 0x10000;
constexpr std::string_view kMetaspaceCharacter = "\xE2\x96\x81";

std::string optional_string(const JsonObject& fields, const std::string& name) {
  return fields.has(name) ? fields.string(name) : std::string();
}

}  // namespace

Bpe::Bpe(const JsonObject& fields, TokenizerFile& file, Vocabulary vocabulary)
    : Model(std::move(vocabulary)),
      prefix_(optional_string(fields, "continuing_subword_prefix")),
      suffix_(optional_string(fields, "end_of_word_suffix")),
      fuse_unk_(fields.boolean("fuse_unk", false)),
      ignore_merges_(fields.boolean("ignore_merges", false)),
      merges_(file.merge_count()) {
  if (fields.has("unk_token")) {
    // A name without a token is an error only if it is needed; see BpeEncoder.
    unk_id_ = static_cast<int32_t>(
        this->vocabulary().id_of(fields.string("unk_token")).value_or(kMissingUnk));
  }
  if (fields.boolean("byte_fallback", false)) byte_ids_ = byte_fallback_ids(this->vocabulary());
  read_merges(file);
  index_characters();
}

void Bpe::read_merges(const TokenizerFile& file) {
  bool joins_metaspace = false;
  const auto id_of = [&](std::string_view token, uint32_t rank) {
    const auto id = vocabulary().id_of(token);
    if (!id)
      throw_data("model.merges[{}] needs the token \"{}\", which is not in model.vocab", rank,
                 token);
    return static_cast<int32_t>(*id);
  };
  std::string joined;
  for (uint32_t rank = 0; rank < file.merge_count(); ++rank) {
    const std::string_view left = file.merge_part(2 * rank), right = file.merge_part(2 * rank + 1);
    if (right.size() < prefix_.size())
      throw_data("model.merges[{}]: \"{}\" lacks the prefix", rank, right);
    const int32_t left_id = id_of(left, rank), right_id = id_of(right, rank);
    joined.assign(left).append(right.substr(prefix_.size()));
    const auto value =
        (static_cast<uint64_t>(rank) << 32) | static_cast<uint32_t>(id_of(joined, rank));
    merges_.insert(pair_key(left_id, right_id), value) =
        value;  // of equal pairs the last one counts
    joins_metaspace |=
        right.starts_with(kMetaspaceCharacter) && !left.ends_with(kMetaspaceCharacter);
  }
  cuts_at_metaspace_ = !joins_metaspace && !has_affixes() && !ignore_merges_ &&
                       vocabulary().id_of(kMetaspaceCharacter).has_value();
}

void Bpe::index_characters() {
  character_ids_.resize(kIndexedCharacters, -1);
  std::string text;
  for (char32_t c = 0; c < kIndexedCharacters; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    text.clear();
    append_code_point(text, c);
    character_ids_[c] = static_cast<int32_t>(vocabulary().id_of(text).value_or(-1));
  }
}

int32_t Bpe::id_of_character(char32_t c, std::string_view text) const {
  if (c < kIndexedCharacters) return character_ids_[c];
  return static_cast<int32_t>(vocabulary().id_of(text).value_or(-1));
}

std::unique_ptr<WordEncoder> Bpe::word_encoder() const {
  return std::make_unique<BpeEncoder>(*this);
}

std::unique_ptr<const Model> make_bpe(const JsonObject& fields, TokenizerFile& file) {
  if (!file.has_merges) fields.fail("\"merges\" is missing");
  Vocabulary vocabulary = Vocabulary::from_map(file);
  return std::make_unique<Bpe>(fields, file, std::move(vocabulary));
}

}  // namespace lathe::tokenizer
