#include "tokenizer/post_processor.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"

namespace lathe::tokenizer {

namespace {

/// Trims offsets, which Lathe does not compute.
class ByteLevelProcessor : public PostProcessor {
 public:
  IdParts apply(IdParts parts, bool) const override { return parts; }
};

/// BERT: cls text sep, and sep behind each further part. RoBERTa: sep before further parts too.
class ClassifierProcessor : public PostProcessor {
 public:
  ClassifierProcessor(const JsonObject& object, bool separates_twice)
      : cls_(id_field(object, "cls")),
        sep_(id_field(object, "sep")),
        separates_twice_(separates_twice) {}

  IdParts apply(IdParts parts, bool add_special_tokens) const override {
    if (!add_special_tokens) return parts;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i == 0 || separates_twice_) parts[i].insert(parts[i].begin(), i == 0 ? cls_ : sep_);
      parts[i].push_back(sep_);
    }
    return parts;
  }

 private:
  /// The id of a field ["[CLS]", 101].
  static int64_t id_field(const JsonObject& object, const std::string& name) {
    const auto& pair = object.array(name);
    const bool fits = pair.size() == 2 && pair[0].is_string() && pair[1].is_number_unsigned() &&
                      pair[1].get<uint64_t>() <= static_cast<uint64_t>(kMaxTokenId);
    if (!fits)
      object.fail(fmt::format("\"{}\" must be [token, id], found {}", name, describe_json(pair)));
    return pair[1].get<int64_t>();
  }

  int64_t cls_;
  int64_t sep_;
  bool separates_twice_;
};

/// A list of special tokens and places for the text.
class TemplateProcessor : public PostProcessor {
 public:
  explicit TemplateProcessor(const JsonObject& object) {
    read_special_tokens(object);
    single_ = read_template(object, "single");
    pair_ = read_template(object, "pair");
  }

  IdParts apply(IdParts parts, bool add_special_tokens) const override;

 private:
  struct Item {
    size_t part = 0;           // which text goes here,
    std::vector<int64_t> ids;  // or the special tokens if there are any
    bool is_special = false;
  };

  void read_special_tokens(const JsonObject& object);
  std::vector<Item> read_template(const JsonObject& object, const std::string& name) const;
  Item read_item(const JsonObject& object) const;

  std::map<std::string, std::vector<int64_t>> special_tokens_;
  std::vector<Item> single_;
  std::vector<Item> pair_;
};

void TemplateProcessor::read_special_tokens(const JsonObject& object) {
  const JsonObject tokens = object.object("special_tokens");
  for (const auto& [name, value] : object.at("special_tokens").items()) {
    const JsonObject token = tokens.object(name);
    auto& ids = special_tokens_[token.string("id")];
    for (const auto& id : token.array("ids")) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > static_cast<uint64_t>(kMaxTokenId)) {
        token.fail(fmt::format("{} is no token id", describe_json(id)));
      }
      ids.push_back(id.get<int64_t>());
    }
  }
}

std::vector<TemplateProcessor::Item> TemplateProcessor::read_template(
    const JsonObject& object, const std::string& name) const {
  std::vector<Item> items;
  for (const JsonObject& item : object.objects(name)) items.push_back(read_item(item));
  for (const Item& item : items) {
    if (name == "single" && !item.is_special && item.part != 0)
      object.fail("\"single\" uses the sequence B");
  }
  return items;
}

TemplateProcessor::Item TemplateProcessor::read_item(const JsonObject& object) const {
  if (object.has("Sequence")) {
    const std::string id = object.object("Sequence").string("id");
    if (id != "A" && id != "B") object.fail("the sequence \"" + id + "\" is neither A nor B");
    return {.part = id == "A" ? size_t{0} : size_t{1}, .ids = {}, .is_special = false};
  }
  const std::string id = object.object("SpecialToken").string("id");
  const auto found = special_tokens_.find(id);
  if (found == special_tokens_.end()) object.fail("\"" + id + "\" is not in special_tokens");
  return {.part = 0, .ids = found->second, .is_special = true};
}

IdParts TemplateProcessor::apply(IdParts parts, bool add_special_tokens) const {
  if (parts.size() > 2)
    throw_data("post_processor: a template after one that makes {} parts", parts.size());
  IdParts result;
  for (const Item& item : parts.size() == 1 ? single_ : pair_) {
    if (!item.is_special) {
      result.push_back(parts[item.part]);
    } else if (add_special_tokens) {
      result.push_back(item.ids);
    }
  }
  return result;
}

class ProcessorSequence : public PostProcessor {
 public:
  explicit ProcessorSequence(const JsonObject& object) {
    for (const JsonObject& item : object.objects("processors")) {
      items_.push_back(make_post_processor(item));
    }
  }
  IdParts apply(IdParts parts, bool add_special_tokens) const override {
    for (const auto& item : items_) parts = item->apply(std::move(parts), add_special_tokens);
    return parts;
  }

 private:
  std::vector<std::unique_ptr<const PostProcessor>> items_;
};

}  // namespace

std::unique_ptr<const PostProcessor> make_post_processor(const JsonObject& object) {
  const std::string type = object.type();
  if (type == "TemplateProcessing") return std::make_unique<TemplateProcessor>(object);
  if (type == "ByteLevel") return std::make_unique<ByteLevelProcessor>();
  if (type == "BertProcessing") return std::make_unique<ClassifierProcessor>(object, false);
  if (type == "RobertaProcessing") return std::make_unique<ClassifierProcessor>(object, true);
  if (type == "Sequence") return std::make_unique<ProcessorSequence>(object);
  object.fail_unknown_type();
}

}  // namespace lathe::tokenizer
