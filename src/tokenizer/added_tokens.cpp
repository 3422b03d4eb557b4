#include "tokenizer/added_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

/// Start of the code point that ends before `end`.
size_t previous_code_point(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  size_t position = previous_code_point(text, text.size());
  return is_word(next_code_point(text, position));
}

bool starts_with_word(std::string_view text) {
  size_t position = 0;
  return !text.empty() && is_word(next_code_point(text, position));
}

/// Where the white space before `end` starts.
size_t skip_space_left(std::string_view text, size_t end) {
  while (end > 0) {
    const size_t begin = previous_code_point(text, end);
    size_t position = begin;
    if (!is_white_space(next_code_point(text, position))) break;
    end = begin;
  }
  return end;
}

size_t skip_space_right(std::string_view text, size_t begin) {
  while (begin < text.size()) {
    size_t position = begin;
    if (!is_white_space(next_code_point(text, position))) break;
    begin = position;
  }
  return begin;
}

}  // namespace

void AddedTokens::Trie::insert(std::string_view text, int64_t id) {
  if (text.empty()) return;
  starts_[static_cast<unsigned char>(text[0])] = true;
  uint64_t node = 0;
  for (char byte : text) {
    node = edges_.insert((node << 8) | static_cast<unsigned char>(byte), ids_.size());
    if (node == ids_.size()) ids_.push_back(-1);
  }
  if (ids_[node] < 0) ids_[node] = id;
}

std::pair<size_t, int64_t> AddedTokens::Trie::longest(std::string_view text) const {
  std::pair<size_t, int64_t> best{0, -1};
  if (!starts_[static_cast<unsigned char>(text[0])]) return best;
  uint64_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const uint64_t* next = edges_.find((node << 8) | static_cast<unsigned char>(text[i]));
    if (next == nullptr) break;
    node = *next;
    if (ids_[node] >= 0) best = {i + 1, ids_[node]};
  }
  return best;
}

AddedTokens::AddedTokens(const nlohmann::json& section, const Vocabulary& vocabulary,
                         const Normalizer* normalizer) {
  if (section.is_null()) return;
  if (!section.is_array())
    throw_data("added_tokens must be an array, found {}", describe_json(section));
  int64_t next_id = vocabulary.size();
  for (size_t i = 0; i < section.size(); ++i) {
    add(JsonObject(section[i], fmt::format("added_tokens[{}]", i)), vocabulary, normalizer,
        next_id);
  }
  // In the order of ids, so that of two tokens with one text the first is found (`tokenizers` takes
  // any).
  for (const auto& [id, token] : tokens_) {
    tries_[token.is_normalized].insert(token.is_normalized ? token.normalized : token.content, id);
  }
}

void AddedTokens::add(const JsonObject& fields, const Vocabulary& vocabulary,
                      const Normalizer* normalizer, int64_t& next_id) {
  AddedToken token{.content = fields.string("content"),
                   .normalized = {},
                   .single_word = fields.boolean("single_word"),
                   .lstrip = fields.boolean("lstrip"),
                   .rstrip = fields.boolean("rstrip"),
                   .is_normalized = fields.boolean("normalized"),
                   .special = fields.boolean("special")};
  const int64_t written_id = fields.integer("id", 0, kMaxTokenId);
  if (token.content.empty()) return;
  auto known = ids_.find(token.content);
  if (known == ids_.end()) {
    const auto id = vocabulary.id_of(token.content);
    known = ids_.emplace(token.content, id ? *id : next_id++).first;
  }
  if (known->second != written_id && ++renumbered_ == 1) {
    spdlog::warn("{}: \"{}\" has the id {}, not {} (further ones are not reported)", fields.where(),
                 token.content, known->second, written_id);
  }
  token.normalized = token.content;
  if (token.is_normalized && normalizer != nullptr) {
    size_t first = 0;
    next_code_point(token.content, first);
    NormalizedText text{token.content, first};
    normalizer->apply(text);
    token.normalized = std::move(text.text);
  }
  if (token.special) special_.insert(token.content);
  tokens_[known->second] = std::move(token);
}

bool AddedTokens::accepts(const AddedToken& token, std::string_view text, size_t begin,
                          size_t end) const {
  return !token.single_word ||
         (!ends_with_word(text.substr(0, begin)) && !starts_with_word(text.substr(end)));
}

void AddedTokens::find(std::string_view text, bool normalized,
                       std::vector<TokenMatch>& matches) const {
  const Trie& trie = tries_[normalized];
  size_t covered = 0;
  for (size_t position = 0; !trie.empty() && position < text.size();) {
    const auto [length, id] = trie.longest(text.substr(position));
    if (length == 0) {
      ++position;
      continue;
    }
    size_t begin = position, end = position + length;
    position = end;
    const AddedToken& token = tokens_.at(id);
    if (!accepts(token, text, begin, end)) continue;
    if (token.lstrip) begin = std::max(skip_space_left(text, begin), covered);
    if (token.rstrip) end = skip_space_right(text, end);
    if (covered < begin) matches.push_back({covered, begin, -1});
    if (begin < end) matches.push_back({begin, end, id});
    covered = end;
  }
  if (covered < text.size()) matches.push_back({covered, text.size(), -1});
}

std::optional<int64_t> AddedTokens::id_of(std::string_view content) const {
  const auto found = ids_.find(std::string(content));
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const AddedToken* AddedTokens::token_of(int64_t id) const {
  const auto found = tokens_.find(id);
  return found == tokens_.end() ? nullptr : &found->second;
}

}  // namespace lathe::tokenizer
