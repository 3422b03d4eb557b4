#include "tokenizer/tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/parallel.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/decoder.h"
#include "tokenizer/model.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/post_processor.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/tokenizer_file.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

/// The steps of encoding and decoding; those that a file does not name are null.
struct Pipeline {
  explicit Pipeline(TokenizerFile file);

  PreTokenizedText split(std::string_view text) const;
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens,
                              WordEncoder& encoder) const;

  std::unique_ptr<const Normalizer> normalizer;
  std::unique_ptr<const PreTokenizer> pre_tokenizer;
  std::unique_ptr<const Model> model;
  std::unique_ptr<const PostProcessor> post_processor;
  std::unique_ptr<const Decoder> decoder;
  std::unique_ptr<const AddedTokens> added_tokens;

 private:
  void append_normalized(NormalizedText text, PreTokenizedText& result) const;
};

namespace {

template <typename Make>
auto make_section(const JsonObject& root, const std::string& name, const Make& make)
    -> decltype(make(root)) {
  if (!root.has(name)) return nullptr;
  return make(JsonObject(root.at(name), name));
}

}  // namespace

Pipeline::Pipeline(TokenizerFile file) {
  const JsonObject root(*file.fields, "tokenizer");
  if (root.has("version") && root.string("version") != "1.0") {
    root.fail("the version \"" + root.string("version") + "\" is not supported");
  }
  normalizer = make_section(root, "normalizer", make_normalizer);
  pre_tokenizer = make_section(root, "pre_tokenizer", make_pre_tokenizer);
  post_processor = make_section(root, "post_processor", make_post_processor);
  decoder = make_section(root, "decoder", make_decoder);
  model = make_model(file);
  const nlohmann::json none;
  added_tokens =
      std::make_unique<AddedTokens>(root.has("added_tokens") ? root.at("added_tokens") : none,
                                    model->vocabulary(), normalizer.get());
}

/// Normalizes a part of the input and cuts it at the added tokens that are searched after that.
void Pipeline::append_normalized(NormalizedText text, PreTokenizedText& result) const {
  if (normalizer) normalizer->apply(text);
  const Piece whole{result.text.size(), result.text.size() + text.text.size(), text.origin_prefix};
  std::vector<TokenMatch> matches;
  added_tokens->find(text.text, true, matches);
  for (const TokenMatch& match : matches)
    result.pieces.push_back(sub_piece(whole, match.begin, match.end, match.id));
  result.text += text.text;
}

PreTokenizedText Pipeline::split(std::string_view text) const {
  PreTokenizedText result;
  std::vector<TokenMatch> matches;
  added_tokens->find(text, false, matches);
  for (const TokenMatch& match : matches) {
    if (match.id >= 0) {
      result.pieces.push_back({result.text.size(), result.text.size(), 0, match.id});
      continue;
    }
    size_t first = 0;
    if (match.begin == 0) next_code_point(text, first);
    append_normalized({std::string(text.substr(match.begin, match.end - match.begin)), first},
                      result);
    check_growth(result.text.size(), text.size());
  }
  if (pre_tokenizer) pre_tokenizer->apply(result);
  return result;
}

std::vector<int64_t> Pipeline::encode(std::string_view text, bool add_special_tokens,
                                      WordEncoder& encoder) const {
  if (!is_valid_utf8(text)) return encode(replace_invalid_utf8(text), add_special_tokens, encoder);
  const PreTokenizedText pieces = split(text);
  std::vector<int64_t> ids;
  for (const Piece& piece : pieces.pieces) {
    if (piece.is_text()) {
      encoder.encode(pieces.view(piece), ids);
    } else {
      ids.push_back(piece.id);
    }
  }
  if (!post_processor) return ids;
  IdParts parts;
  parts.push_back(std::move(ids));
  ids.clear();
  parts = post_processor->apply(std::move(parts), add_special_tokens);
  if (parts.size() == 1) return std::move(parts[0]);
  for (const auto& part : parts) ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

Tokenizer::Tokenizer(std::shared_ptr<const Pipeline> pipeline) : pipeline_(std::move(pipeline)) {}

Tokenizer Tokenizer::from_json(std::string_view json, std::string source_name) {
  return with_context(source_name, [&] {
    return Tokenizer(std::make_shared<const Pipeline>(parse_tokenizer_file(json)));
  });
}

Tokenizer Tokenizer::from_gguf(const GgufVocabulary& vocabulary, std::string source_name) {
  return with_context(source_name, [&] {
    return Tokenizer(
        std::make_shared<const Pipeline>(parse_tokenizer_file(tokenizer_json(vocabulary))));
  });
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  return pipeline_->encode(text, add_special_tokens, *pipeline_->model->word_encoder());
}

std::vector<std::vector<int64_t>> Tokenizer::encode_batch(std::span<const std::string> texts,
                                                          bool add_special_tokens) const {
  std::vector<std::vector<int64_t>> result(texts.size());
  parallel_for(0, static_cast<int64_t>(texts.size()), 1, [&](int64_t begin, int64_t end) {
    const auto encoder = pipeline_->model->word_encoder();
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      result[i] = pipeline_->encode(texts[i], add_special_tokens, *encoder);
    }
  });
  return result;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (int64_t id : ids) {
    const AddedToken* added = pipeline_->added_tokens->token_of(id);
    const auto known = pipeline_->model->vocabulary().token_of(id);
    if (added == nullptr && !known) continue;
    std::string token = added != nullptr ? added->normalized : std::string(*known);
    if (skip_special_tokens && pipeline_->added_tokens->is_special_content(token)) continue;
    tokens.push_back(std::move(token));
  }
  if (pipeline_->decoder && !tokens.empty()) tokens = pipeline_->decoder->apply(std::move(tokens));
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !pipeline_->decoder) text += ' ';
    text += tokens[i];
  }
  return text;
}

int64_t Tokenizer::vocab_size() const {
  const Vocabulary& vocabulary = pipeline_->model->vocabulary();
  int64_t size = vocabulary.size();
  for (const auto& [id, token] : pipeline_->added_tokens->tokens())
    size += vocabulary.id_of(token.content) ? 0 : 1;
  return size;
}

int64_t Tokenizer::id_limit() const {
  const auto& added = pipeline_->added_tokens->tokens();
  return std::max(pipeline_->model->vocabulary().id_limit(),
                  added.empty() ? 0 : added.rbegin()->first + 1);
}

std::optional<int64_t> Tokenizer::id_of(std::string_view token) const {
  if (const auto id = pipeline_->added_tokens->id_of(token)) return id;
  return pipeline_->model->vocabulary().id_of(token);
}

std::optional<std::string> Tokenizer::token_of(int64_t id) const {
  if (const AddedToken* added = pipeline_->added_tokens->token_of(id)) return added->content;
  const auto token = pipeline_->model->vocabulary().token_of(id);
  if (!token) return std::nullopt;
  return std::string(*token);
}

bool Tokenizer::is_special(int64_t id) const {
  const AddedToken* added = pipeline_->added_tokens->token_of(id);
  return added != nullptr && added->special;
}

}  // namespace lathe::tokenizer
