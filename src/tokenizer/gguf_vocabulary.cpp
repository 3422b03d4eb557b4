#include "tokenizer/gguf_vocabulary.h"

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "tokenizer/gguf_defaults.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/string_table.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kMetaspace = "\xE2\x96\x81";

struct MergeText {
  std::string_view left;
  std::string_view right;
};

/// The tokens by name; DataError if a name is given twice.
StringTable index_tokens(const GgufVocabulary& vocabulary) {
  StringTable table(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const auto [index, is_new] = table.insert(vocabulary.tokens[id]);
    if (!is_new)
      throw_data("tokenizer.ggml.tokens: {} and {} are both \"{}\"", index, id,
                 vocabulary.tokens[id]);
  }
  return table;
}

std::vector<MergeText> written_merges(const GgufVocabulary& vocabulary, const StringTable& tokens) {
  std::vector<MergeText> merges;
  merges.reserve(vocabulary.merges.size());
  for (const std::string& merge : vocabulary.merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos)
      throw_data("tokenizer.ggml.merges: expected \"left right\", found \"{}\"", merge);
    const std::string_view text = merge;
    const MergeText parts{text.substr(0, space), text.substr(space + 1)};
    const std::string joined = std::string(parts.left).append(parts.right);
    for (std::string_view token : {parts.left, parts.right, std::string_view(joined)}) {
      if (!tokens.find(token))
        throw_data("tokenizer.ggml.merges: \"{}\" needs the token \"{}\"", merge, token);
    }
    merges.push_back(parts);
  }
  return merges;
}

/// A merge of SentencePiece: the pair that becomes `id`, the token with the best score first.
struct ScoredMerge {
  float score;
  size_t left_length;  // in characters
  size_t right_length;
  size_t id;
  MergeText text;
};

/// SentencePiece joins any two neighbours that give a token: every way to cut a token in two is a
/// merge.
std::vector<MergeText> scored_merges(const GgufVocabulary& vocabulary, const StringTable& tokens) {
  const auto can_merge = [&](size_t id) {
    const GgufTokenType type = token_type(vocabulary, id);
    return type == GgufTokenType::kNormal || type == GgufTokenType::kUserDefined ||
           type == GgufTokenType::kUnused;
  };
  const auto part = [&](std::string_view text) {
    const auto id = tokens.find(text);
    return id && can_merge(*id);
  };
  std::vector<ScoredMerge> scored;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string_view token = vocabulary.tokens[id];
    if (!can_merge(id)) continue;
    const size_t characters = count_code_points(token);
    size_t cut = 0;
    for (size_t left = 1; left < characters; ++left) {
      next_code_point(token, cut);
      const MergeText text{token.substr(0, cut), token.substr(cut)};
      if (!part(text.left) || !part(text.right)) continue;
      scored.push_back({vocabulary.scores[id], left, characters - left, id, text});
    }
  }
  std::sort(scored.begin(), scored.end(), [](const ScoredMerge& a, const ScoredMerge& b) {
    return std::tie(b.score, b.left_length, b.right_length, a.id) <
           std::tie(a.score, a.left_length, a.right_length, b.id);
  });
  std::vector<MergeText> merges;
  merges.reserve(scored.size());
  for (const ScoredMerge& merge : scored) merges.push_back(merge.text);
  return merges;
}

Json added_tokens(const GgufVocabulary& vocabulary) {
  Json result = Json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (!is_added_token(vocabulary, id) || vocabulary.tokens[id].empty()) continue;
    result.push_back({{"id", id},
                      {"content", vocabulary.tokens[id]},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", token_type(vocabulary, id) != GgufTokenType::kUserDefined}});
  }
  return result;
}

/// [bos] text [eos], or null if neither is added.
Json template_processor(const GgufVocabulary& vocabulary) {
  Json single = Json::array(), pair = Json::array(), special = Json::object();
  const auto add_special = [&](bool adds, std::optional<int64_t> id, int type_id, Json& items) {
    if (!adds) return;
    const std::string& token = vocabulary.tokens[static_cast<size_t>(id.value())];
    items.push_back({{"SpecialToken", {{"id", token}, {"type_id", type_id}}}});
    special[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  const auto add_text = [&](const char* sequence, int type_id, Json& items) {
    add_special(*vocabulary.add_bos, vocabulary.bos_id, type_id, items);
    items.push_back({{"Sequence", {{"id", sequence}, {"type_id", type_id}}}});
    add_special(*vocabulary.add_eos, vocabulary.eos_id, type_id, items);
  };
  add_text("A", 0, single);
  add_text("A", 0, pair);
  add_text("B", 1, pair);
  if (special.empty()) return {};
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

/// The sections of a tokenizer.json but for the model.
struct Sections {
  Json normalizer;
  Json pre_tokenizer;
  Json post_processor;
  Json decoder;
  Json model;
};

Json model_fields(Json unk_token, bool fuse_unk, bool byte_fallback, bool ignore_merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", std::move(unk_token)},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", fuse_unk},
          {"byte_fallback", byte_fallback},
          {"ignore_merges", ignore_merges}};
}

Json replace(std::string_view from, std::string_view to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Sections byte_level_sections(const GgufVocabulary& vocabulary) {
  GgufPreTokenizer pre = gguf_pre_tokenizer(vocabulary.pre);
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", true},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  Json post = template_processor(vocabulary);
  post = post.is_null()
             ? byte_level
             : Json{{"type", "Sequence"}, {"processors", Json::array({byte_level, post})}};
  return {.normalizer = std::move(pre.normalizer),
          .pre_tokenizer = std::move(pre.pre_tokenizer),
          .post_processor = std::move(post),
          .decoder = byte_level,
          .model = model_fields(nullptr, false, false, pre.ignore_merges)};
}

Sections sentencepiece_sections(const GgufVocabulary& vocabulary, const StringTable& tokens) {
  const bool prefix = *vocabulary.add_space_prefix;
  Json normalizers = Json::array(), decoders = Json::array();
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kMetaspace}});
  normalizers.push_back(replace(" ", kMetaspace));
  decoders =
      Json::array({replace(kMetaspace, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  const Json unk =
      vocabulary.unk_id ? Json(vocabulary.tokens[static_cast<size_t>(*vocabulary.unk_id)]) : Json();
  return {.normalizer = {{"type", "Sequence"}, {"normalizers", normalizers}},
          .pre_tokenizer = nullptr,
          .post_processor = template_processor(vocabulary),
          .decoder = {{"type", "Sequence"}, {"decoders", decoders}},
          .model = model_fields(unk, true, tokens.find("<0x00>").has_value(), false)};
}

std::string json_text(std::string_view text) { return nlohmann::json(text).dump(); }

/// The model's fields with vocab and merges, which are too large to go through a JSON tree.
std::string model_text(const Json& fields, const GgufVocabulary& vocabulary,
                       const std::vector<MergeText>& merges) {
  std::string text = fields.dump();
  text.back() = ',';
  text += "\n\"vocab\":{";
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    text += fmt::format("{}\n{}:{}", id == 0 ? "" : ",", json_text(vocabulary.tokens[id]), id);
  }
  text += "},\n\"merges\":[";
  for (size_t i = 0; i < merges.size(); ++i) {
    text += fmt::format("{}\n[{},{}]", i == 0 ? "" : ",", json_text(merges[i].left),
                        json_text(merges[i].right));
  }
  return text + "]}";
}

}  // namespace

std::string tokenizer_json(const GgufVocabulary& source) {
  const GgufVocabulary vocabulary = checked_vocabulary(source);
  const StringTable tokens = index_tokens(vocabulary);
  const bool byte_level = vocabulary.model == "gpt2";
  const Sections sections =
      byte_level ? byte_level_sections(vocabulary) : sentencepiece_sections(vocabulary, tokens);
  const auto merges =
      byte_level ? written_merges(vocabulary, tokens) : scored_merges(vocabulary, tokens);
  std::string text = "{\"version\":\"1.0\",\n\"truncation\":null,\n\"padding\":null";
  const auto section = [&](const char* name, const std::string& value) {
    text += fmt::format(",\n\"{}\":{}", name, value);
  };
  section("added_tokens", added_tokens(vocabulary).dump());
  section("normalizer", sections.normalizer.dump());
  section("pre_tokenizer", sections.pre_tokenizer.dump());
  section("post_processor", sections.post_processor.dump());
  section("decoder", sections.decoder.dump());
  section("model", model_text(sections.model, vocabulary, merges));
  return text + "}\n";
}

}  // namespace lathe::tokenizer
