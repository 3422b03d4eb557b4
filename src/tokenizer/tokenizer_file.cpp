#include "tokenizer/tokenizer_file.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/json_fields.h"
#include "tokenizer/json_number.h"

namespace lathe::tokenizer {

namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxFileSize = size_t{1} << 30;

/// Receives the events of nlohmann's parser. What lies in model.vocab and model.merges goes to flat
/// arrays, the rest builds the DOM: `open_` are the containers around the current place.
class Reader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Reader(TokenizerFile& file) : file_(file) {}

  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override {
    return area_ == Area::kDom ? value(v) : number(v);
  }
  bool number_unsigned(number_unsigned_t v) override;
  bool number_float(number_float_t v, const string_t& text) override;
  bool string(string_t& v) override;
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool key(string_t& v) override;
  bool parse_error(std::size_t, const std::string&,
                   const nlohmann::json::exception& error) override {
    throw_data("{}", error.what());
  }

 private:
  enum class Area { kDom, kVocabObject, kVocabArray, kMerges };

  nlohmann::json* place(nlohmann::json v);
  bool value(nlohmann::json v);
  bool number(int64_t v);
  bool enter_area(Area area);
  void close_item();
  void add_merge_text(const std::string& text);
  [[noreturn]] void fail_area(std::string_view found) const;

  TokenizerFile& file_;
  std::vector<nlohmann::json*> open_;
  std::string key_;
  Area area_ = Area::kDom;
  size_t area_depth_ = 0;  // containers open inside vocab or merges
  std::string pending_;    // the token of an entry whose number is still to come
  int strings_ = 0;        // of the current item
  int numbers_ = 0;
  double score_ = 0;
};

void Reader::fail_area(std::string_view found) const {
  constexpr std::string_view kExpected[] = {"", "a map from tokens to ids",
                                            "a list of [token, score]",
                                            "a list of \"left right\" or [left, right]"};
  const std::string_view name = area_ == Area::kMerges ? "merges" : "vocab";
  throw_data("model.{} must be {}, found {} in it", name, kExpected[static_cast<int>(area_)],
             found);
}

nlohmann::json* Reader::place(nlohmann::json v) {
  if (open_.empty()) {
    *file_.fields = std::move(v);
    return file_.fields.get();
  }
  nlohmann::json& parent = *open_.back();
  if (parent.is_array()) {
    parent.push_back(std::move(v));
    return &parent.back();
  }
  nlohmann::json& slot = parent[key_];
  slot = std::move(v);
  return &slot;
}

bool Reader::value(nlohmann::json v) {
  if (area_ != Area::kDom) fail_area(describe_json(v));
  place(std::move(v));
  return true;
}

bool Reader::number(int64_t v) {
  if (area_ == Area::kVocabObject && area_depth_ == 1) {
    if (v < 0 || v > kMaxTokenId) {
      throw_data("model.vocab: the id of \"{}\" is {}, expected 0 to {}", pending_, v, kMaxTokenId);
    }
    const auto [index, is_new] = file_.tokens.insert(pending_);
    if (is_new) file_.ids.push_back(v);
    file_.ids[index] = v;
    return true;
  }
  if (area_ != Area::kVocabArray || area_depth_ != 2 || strings_ != 1)
    fail_area(fmt::format("{}", v));
  ++numbers_;
  score_ = static_cast<double>(v);
  return true;
}

bool Reader::number_unsigned(number_unsigned_t v) {
  if (area_ == Area::kDom) return value(v);
  if (v > static_cast<uint64_t>(INT64_MAX)) fail_area(fmt::format("{}", v));
  return number(static_cast<int64_t>(v));
}

bool Reader::number_float(number_float_t v, const string_t& text) {
  if (area_ == Area::kDom) return value(v);
  if (area_ != Area::kVocabArray || area_depth_ != 2 || strings_ != 1) fail_area(text);
  ++numbers_;
  score_ = parse_serde_float(text);
  return true;
}

bool Reader::string(string_t& v) {
  if (area_ == Area::kDom) return value(std::move(v));
  if (area_ == Area::kVocabArray && area_depth_ == 2 && strings_ == 0) {
    pending_ = v;
  } else if (area_ == Area::kMerges && area_depth_ == 2 && strings_ < 2) {
    add_merge_text(v);
  } else if (area_ == Area::kMerges && area_depth_ == 1) {
    if (v.starts_with("#version")) return true;
    const size_t space = v.find(' ');
    if (space == std::string::npos || v.find(' ', space + 1) != std::string::npos) {
      throw_data("model.merges: expected \"left right\", found \"{}\"", v);
    }
    add_merge_text(v.substr(0, space));
    add_merge_text(v.substr(space + 1));
  } else {
    fail_area(fmt::format("\"{}\"", v));
  }
  ++strings_;
  return true;
}

void Reader::add_merge_text(const std::string& text) {
  file_.merge_text += text;
  file_.merge_parts.push_back(file_.merge_text.size());
}

bool Reader::enter_area(Area area) {
  const bool in_model =
      open_.size() == 2 && open_[0]->contains("model") && open_[1] == &(*open_[0])["model"];
  if (!in_model) return false;
  if (key_ == "vocab" && area != Area::kMerges) {
    if (file_.has_vocab) throw_data("model.vocab is there twice");
    file_.has_vocab = true;
  } else if (key_ == "merges" && area == Area::kMerges) {
    if (file_.has_merges) throw_data("model.merges is there twice");
    file_.has_merges = true;
  } else {
    return false;
  }
  area_ = area;
  area_depth_ = 1;
  return true;
}

bool Reader::start_object(std::size_t) {
  if (area_ != Area::kDom) fail_area("an object");
  if (open_.size() >= kMaxDepth) throw_data("nested deeper than {}", kMaxDepth);
  if (enter_area(Area::kVocabObject)) return true;
  open_.push_back(place(nlohmann::json::object()));
  return true;
}

bool Reader::end_object() {
  if (area_ == Area::kVocabObject) {
    area_ = Area::kDom;
    return true;
  }
  open_.pop_back();
  return true;
}

bool Reader::start_array(std::size_t) {
  if (area_ == Area::kDom) {
    if (open_.size() >= kMaxDepth) throw_data("nested deeper than {}", kMaxDepth);
    if (enter_area(key_ == "merges" ? Area::kMerges : Area::kVocabArray)) return true;
    open_.push_back(place(nlohmann::json::array()));
    return true;
  }
  if (area_ == Area::kVocabObject || area_depth_ != 1) fail_area("an array");
  area_depth_ = 2;
  strings_ = numbers_ = 0;
  return true;
}

bool Reader::end_array() {
  if (area_ == Area::kDom) {
    open_.pop_back();
  } else if (area_depth_ == 2) {
    close_item();
    area_depth_ = 1;
  } else {
    area_ = Area::kDom;
  }
  return true;
}

void Reader::close_item() {
  const bool complete = area_ == Area::kMerges ? strings_ == 2 : strings_ == 1 && numbers_ == 1;
  if (!complete)
    fail_area(fmt::format("an array of {} strings and {} numbers", strings_, numbers_));
  if (area_ == Area::kMerges) return;
  file_.token_indices.push_back(file_.tokens.insert(pending_).first);
  file_.scores.push_back(score_);
}

bool Reader::key(string_t& v) {
  if (area_ == Area::kVocabObject) {
    pending_.swap(v);
  } else {
    key_ = v;
  }
  return true;
}

}  // namespace

TokenizerFile parse_tokenizer_file(std::string_view json) {
  if (json.size() > kMaxFileSize)
    throw_data("{} bytes, expected at most {}", json.size(), kMaxFileSize);
  TokenizerFile file;
  file.fields = std::make_shared<nlohmann::json>();
  Reader reader(file);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  if (!file.fields->is_object())
    throw_data("expected an object, found {}", describe_json(*file.fields));
  return file;
}

}  // namespace lathe::tokenizer
