#include "tokenizer/bpe_encoder.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

constexpr size_t kMaxCachedWord = 256;  // bytes
constexpr size_t kMaxCachedWords = 1 << 18;
constexpr size_t kMaxWord = INT32_MAX / 8;
constexpr std::string_view kMetaspaceCharacter = "\xE2\x96\x81";

}  // namespace

void BpeEncoder::encode(std::string_view word, std::vector<int64_t>& ids) {
  if (word.size() > kMaxWord)
    throw_data("a word of {} bytes, expected at most {}", word.size(), kMaxWord);
  if (model_.ignore_merges()) {
    if (const auto id = model_.vocabulary().id_of(word)) {
      ids.push_back(*id);
      return;
    }
  }
  if (!model_.cuts_at_metaspace()) return encode_cached(word, ids);
  // Without a pre-tokenizer the word is the whole text: cut it at the first of each run of "▁".
  size_t begin = 0;
  for (size_t i = word.find(kMetaspaceCharacter, 1); i != std::string_view::npos;
       i = word.find(kMetaspaceCharacter, i + kMetaspaceCharacter.size())) {
    if (word.substr(0, i).ends_with(kMetaspaceCharacter)) continue;
    encode_cached(word.substr(begin, i - begin), ids);
    begin = i;
  }
  encode_cached(word.substr(begin), ids);
}

void BpeEncoder::encode_cached(std::string_view word, std::vector<int64_t>& ids) {
  if (word.size() > kMaxCachedWord) {
    encode_word(word);
    for (const Symbol& symbol : symbols_) {
      if (symbol.alive) ids.push_back(symbol.id);
    }
    return;
  }
  if (words_.size() >= kMaxCachedWords) {
    words_.clear();
    cached_ends_.clear();
    cached_ids_.clear();
  }
  const auto [index, is_new] = words_.insert(word);
  if (is_new) {
    encode_word(word);
    for (const Symbol& symbol : symbols_) {
      if (symbol.alive) cached_ids_.push_back(symbol.id);
    }
    cached_ends_.push_back(cached_ids_.size());
  }
  const size_t begin = index == 0 ? 0 : cached_ends_[index - 1];
  ids.insert(ids.end(), cached_ids_.begin() + static_cast<std::ptrdiff_t>(begin),
             cached_ids_.begin() + static_cast<std::ptrdiff_t>(cached_ends_[index]));
}

void BpeEncoder::encode_word(std::string_view word) {
  symbols_.clear();
  append_characters(word);
  merge_symbols();
}

void BpeEncoder::append_characters(std::string_view word) {
  unknown_pending_ = false;
  for (size_t position = 0; position < word.size();) {
    const size_t begin = position;
    const char32_t c = next_code_point(word, position);
    const std::string_view character = word.substr(begin, position - begin);
    const int32_t id = character_id(character, c, begin == 0, position == word.size());
    if (id >= 0) {
      flush_unknown();
      append_symbol(id);
    } else if (!append_bytes(model_.has_affixes() ? std::string_view(affixed_) : character)) {
      append_unknown();
    }
  }
  flush_unknown();
}

/// The token of a character with the prefix and suffix that its place in the word asks for.
int32_t BpeEncoder::character_id(std::string_view character, char32_t c, bool first, bool last) {
  if (!model_.has_affixes()) return model_.id_of_character(c, character);
  affixed_ = first ? std::string() : model_.prefix();
  affixed_ += character;
  if (last) affixed_ += model_.suffix();
  return static_cast<int32_t>(model_.vocabulary().id_of(affixed_).value_or(-1));
}

/// Byte tokens for a character without a token, if all of its bytes have one. An unknown token that
/// waits to be fused goes behind them: `tokenizers` does so too.
bool BpeEncoder::append_bytes(std::string_view text) {
  const auto& byte_ids = model_.byte_ids();
  const auto id_of = [&](char byte) { return byte_ids[static_cast<unsigned char>(byte)]; };
  if (byte_ids.empty() ||
      !std::all_of(text.begin(), text.end(), [&](char b) { return id_of(b) >= 0; }))
    return false;
  for (char byte : text) append_symbol(static_cast<int32_t>(id_of(byte)));
  return true;
}

void BpeEncoder::append_unknown() {
  if (model_.unk_id() == kMissingUnk)
    throw_data("the text needs unk_token, which is not in model.vocab");
  if (model_.unk_id() < 0) return;
  if (!model_.fuse_unk()) flush_unknown();
  unknown_pending_ = true;
}

void BpeEncoder::flush_unknown() {
  if (unknown_pending_) append_symbol(model_.unk_id());
  unknown_pending_ = false;
}

void BpeEncoder::append_symbol(int32_t id) {
  const auto index = static_cast<int32_t>(symbols_.size());
  symbols_.push_back({id, index - 1, index + 1});
}

void BpeEncoder::push_candidate(int32_t left, int32_t right) {
  const auto merge = model_.merge_of(symbols_[static_cast<size_t>(left)].id,
                                     symbols_[static_cast<size_t>(right)].id);
  if (merge) heap_.push_back({merge->rank, left, merge->id});
}

void BpeEncoder::merge_symbols() {
  heap_.clear();
  for (int32_t i = 0; i + 1 < static_cast<int32_t>(symbols_.size()); ++i) push_candidate(i, i + 1);
  std::make_heap(heap_.begin(), heap_.end());
  while (!heap_.empty()) {
    std::pop_heap(heap_.begin(), heap_.end());
    const Candidate best = heap_.back();
    heap_.pop_back();
    apply_merge(best);
  }
}

/// Joins the symbol with the next one, unless one of the two has changed since the candidate was
/// found.
void BpeEncoder::apply_merge(const Candidate& candidate) {
  Symbol& left = symbols_[static_cast<size_t>(candidate.position)];
  const auto count = static_cast<int32_t>(symbols_.size());
  if (!left.alive || left.next >= count) return;
  Symbol& right = symbols_[static_cast<size_t>(left.next)];
  const auto merge = model_.merge_of(left.id, right.id);
  if (!merge || merge->id != candidate.id) return;
  left.id = candidate.id;
  left.next = right.next;
  right.alive = false;
  if (left.next < count) symbols_[static_cast<size_t>(left.next)].previous = candidate.position;
  const size_t before = heap_.size();
  if (left.previous >= 0) push_candidate(left.previous, candidate.position);
  if (heap_.size() != before) std::push_heap(heap_.begin(), heap_.end());
  const size_t between = heap_.size();
  if (left.next < count) push_candidate(candidate.position, left.next);
  if (heap_.size() != between) std::push_heap(heap_.begin(), heap_.end());
}

}  // namespace lathe::tokenizer
