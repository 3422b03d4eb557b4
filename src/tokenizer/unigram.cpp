#include <algorithm>
#include <limits>
#include <optional>

#include "base/error.h"
#include "tokenizer/flat_map.h"
#include "tokenizer/model.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

constexpr double kUnknownPenalty = 10.0;

/// A unigram language model (Kudo 2018, arXiv:1804.10959): the path of tokens with the largest sum
/// of scores.
class Unigram : public Model {
 public:
  Unigram(const JsonObject& fields, std::vector<double> scores, Vocabulary vocabulary);

  std::unique_ptr<WordEncoder> word_encoder() const override;

  /// Calls function(length, id) for each token that `text` starts with, shortest first.
  template <typename Function>
  void for_each_prefix(std::string_view text, const Function& function) const {
    uint64_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const uint64_t* next = edges_.find((node << 8) | static_cast<unsigned char>(text[i]));
      if (next == nullptr) return;
      node = *next;
      if (tokens_at_[node] >= 0) function(i + 1, tokens_at_[node]);
    }
  }

  double score(int64_t id) const { return scores_[static_cast<size_t>(id)]; }
  double unknown_score() const { return unknown_score_; }
  int64_t unk_id() const {
    if (!unk_id_)
      throw_data("the text has a character without a token, and model.unk_id is missing");
    return *unk_id_;
  }
  bool is_unk(int64_t id) const { return unk_id_ == id; }
  const std::vector<int64_t>& byte_ids() const { return byte_ids_; }

 private:
  void build_trie();

  std::vector<double> scores_;  // by id
  std::optional<int64_t> unk_id_;
  double unknown_score_ = 0;
  std::vector<int64_t> byte_ids_;   // empty without byte_fallback
  FlatMap edges_;                   // node << 8 | byte to node
  std::vector<int32_t> tokens_at_;  // by node: the token that ends there, or -1
};

class UnigramEncoder : public WordEncoder {
 public:
  explicit UnigramEncoder(const Unigram& model) : model_(model) {}

  void encode(std::string_view word, std::vector<int64_t>& ids) override {
    find_best_path(word);
    collect_path(word);
    // From the back: neighbouring unknown characters become one part, which may be a token again or
    // fall to bytes.
    for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) append_part(word, *part, ids);
  }

 private:
  struct Node {
    double score = 0;
    size_t from = kNone;
    int64_t id = 0;
  };
  struct Part {
    size_t begin;
    size_t end;
    bool unknown;
  };
  static constexpr size_t kNone = ~size_t{0};

  void find_best_path(std::string_view word);
  void collect_path(std::string_view word);
  void append_part(std::string_view word, const Part& part, std::vector<int64_t>& ids) const;

  const Unigram& model_;
  std::vector<Node> nodes_;  // by the place in the word where a token ends
  std::vector<Part> parts_;
};

void UnigramEncoder::find_best_path(std::string_view word) {
  nodes_.assign(word.size() + 1, Node{});
  const auto offer = [&](size_t from, size_t to, int64_t id, double score) {
    Node& node = nodes_[to];
    const double total = score + nodes_[from].score;
    if (node.from == kNone || total > node.score) node = {total, from, id};
  };
  for (size_t begin = 0; begin < word.size();) {
    const size_t character = utf8_length(static_cast<unsigned char>(word[begin]));
    bool has_character = false;
    model_.for_each_prefix(word.substr(begin), [&](size_t length, int64_t id) {
      offer(begin, begin + length, id, model_.score(id));
      has_character |= length == character;
    });
    if (!has_character) offer(begin, begin + character, model_.unk_id(), model_.unknown_score());
    begin += character;
  }
}

void UnigramEncoder::collect_path(std::string_view word) {
  parts_.clear();
  for (size_t end = word.size(); end > 0; end = nodes_[end].from) {
    const Node& node = nodes_[end];
    const bool unknown = model_.is_unk(node.id);
    if (unknown && !parts_.empty() && parts_.back().unknown) {
      parts_.back().begin = node.from;
    } else {
      parts_.push_back({node.from, end, unknown});
    }
  }
}

void UnigramEncoder::append_part(std::string_view word, const Part& part,
                                 std::vector<int64_t>& ids) const {
  const std::string_view text = word.substr(part.begin, part.end - part.begin);
  if (const auto id = model_.vocabulary().id_of(text)) {
    ids.push_back(*id);
    return;
  }
  const auto& byte_ids = model_.byte_ids();
  const auto id_of = [&](char byte) { return byte_ids[static_cast<unsigned char>(byte)]; };
  if (!byte_ids.empty() &&
      std::all_of(text.begin(), text.end(), [&](char b) { return id_of(b) >= 0; })) {
    for (char byte : text) ids.push_back(id_of(byte));
    return;
  }
  ids.push_back(model_.unk_id());
}

Unigram::Unigram(const JsonObject& fields, std::vector<double> scores, Vocabulary vocabulary)
    : Model(std::move(vocabulary)), scores_(std::move(scores)) {
  const int64_t count = static_cast<int64_t>(scores_.size());
  if (fields.has("unk_id")) unk_id_ = fields.integer("unk_id", 0, count - 1);
  if (fields.boolean("byte_fallback", false)) byte_ids_ = byte_fallback_ids(this->vocabulary());
  const auto lowest = std::min_element(scores_.begin(), scores_.end());
  unknown_score_ = (lowest == scores_.end() ? 0.0 : *lowest) - kUnknownPenalty;
  build_trie();
}

void Unigram::build_trie() {
  tokens_at_.push_back(-1);
  for (int64_t id = 0; id < static_cast<int64_t>(scores_.size()); ++id) {
    uint64_t node = 0;
    const std::string_view token = vocabulary().token_of(id).value();
    for (char byte : token) {
      const uint64_t key = (node << 8) | static_cast<unsigned char>(byte);
      node = edges_.insert(key, tokens_at_.size());
      if (node == tokens_at_.size()) tokens_at_.push_back(-1);
    }
    if (node != 0)
      tokens_at_[node] = static_cast<int32_t>(id);  // of equal tokens the last one counts
  }
}

std::unique_ptr<WordEncoder> Unigram::word_encoder() const {
  return std::make_unique<UnigramEncoder>(*this);
}

}  // namespace

std::unique_ptr<const Model> make_unigram(const JsonObject& fields, TokenizerFile& file) {
  std::vector<double> scores = std::move(file.scores);
  Vocabulary vocabulary = Vocabulary::from_list(file);
  return std::make_unique<Unigram>(fields, std::move(scores), std::move(vocabulary));
}

}  // namespace lathe::tokenizer
