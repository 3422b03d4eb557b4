#include "tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pattern_field.h"
#include "tokenizer/split.h"

namespace lathe::tokenizer {

namespace {

/// The regular expression of GPT-2's tokenizer, which ByteLevel has built in.
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Splits at the characters for which predicate(c) is true.
template <typename Predicate>
class CharacterSplit : public PreTokenizer {
 public:
  CharacterSplit(Predicate predicate, SplitBehavior behavior)
      : predicate_(predicate), behavior_(behavior) {}
  void apply(PreTokenizedText& text) const override {
    split_pieces(text, [this](std::string_view view, std::vector<Segment>& segments) {
      find_characters(view, predicate_, segments);
      apply_behavior(behavior_, segments);
    });
  }

 private:
  Predicate predicate_;
  SplitBehavior behavior_;
};

template <typename Predicate>
std::unique_ptr<const PreTokenizer> character_split(Predicate predicate, SplitBehavior behavior) {
  return std::make_unique<CharacterSplit<Predicate>>(predicate, behavior);
}

class PatternSplit : public PreTokenizer {
 public:
  PatternSplit(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void apply(PreTokenizedText& text) const override {
    split_pieces(text, [this](std::string_view view, std::vector<Segment>& segments) {
      pattern_.find_segments(view, segments);
      if (invert_) {
        for (Segment& segment : segments) segment.is_match = !segment.is_match;
      }
      apply_behavior(behavior_, segments);
    });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class ByteLevel : public PreTokenizer {
 public:
  explicit ByteLevel(const JsonObject& object)
      : add_prefix_space_(object.boolean("add_prefix_space")),
        pattern_(Pattern::regex(kGpt2Pattern)),
        use_regex_(object.boolean("use_regex", true)) {}

  void apply(PreTokenizedText& text) const override {
    if (add_prefix_space_) add_prefix_space(text);
    if (use_regex_) {
      split_pieces(text, [this](std::string_view view, std::vector<Segment>& segments) {
        pattern_.find_segments(view, segments);
      });
    }
    rewrite_pieces(text, [](std::string_view view, size_t origin_prefix, std::string& result) {
      const size_t begin = result.size();
      append_byte_characters(result, view.substr(0, origin_prefix));
      const size_t prefix = result.size() - begin;
      append_byte_characters(result, view.substr(origin_prefix));
      return prefix;
    });
  }

 private:
  static void add_prefix_space(PreTokenizedText& text) {
    rewrite_pieces(text, [](std::string_view view, size_t origin_prefix, std::string& result) {
      const bool adds = !view.starts_with(' ');
      if (adds) result += ' ';
      result += view;
      return origin_prefix == 0 ? 0 : origin_prefix + (adds ? 1 : 0);
    });
  }

  bool add_prefix_space_;
  Pattern pattern_;
  bool use_regex_;
};

/// \w+|[^\w\s]+ : words and runs of what is neither word nor space.
class Whitespace : public PreTokenizer {
 public:
  void apply(PreTokenizedText& text) const override {
    split_pieces(text, [](std::string_view view, std::vector<Segment>& segments) {
      enum class Kind { kSpace, kWord, kOther };
      Kind previous = Kind::kSpace;
      for (size_t position = 0; position < view.size();) {
        const size_t begin = position;
        const char32_t c = next_code_point(view, position);
        const Kind kind = is_word(c)          ? Kind::kWord
                          : is_white_space(c) ? Kind::kSpace
                                              : Kind::kOther;
        if (kind != Kind::kSpace && kind == previous) {
          segments.back().end = position;
        } else if (kind != Kind::kSpace) {
          segments.push_back({begin, position, true});
        }
        previous = kind;
      }
    });
  }
};

class FixedLength : public PreTokenizer {
 public:
  explicit FixedLength(size_t length) : length_(length) {}
  void apply(PreTokenizedText& text) const override {
    split_pieces(text, [this](std::string_view view, std::vector<Segment>& segments) {
      size_t begin = 0, count = 0;
      for (size_t position = 0; position < view.size();) {
        next_code_point(view, position);
        if (++count < length_ && position < view.size()) continue;
        segments.push_back({begin, position, true});
        begin = position;
        count = 0;
      }
    });
  }

 private:
  size_t length_;
};

class MetaspacePreTokenizer : public PreTokenizer {
 public:
  explicit MetaspacePreTokenizer(const Metaspace& settings) : settings_(settings) {
    append_code_point(replacement_, settings.replacement);
  }

  void apply(PreTokenizedText& text) const override {
    rewrite_pieces(text, [this](std::string_view view, size_t origin_prefix, std::string& result) {
      return replace_spaces(view, origin_prefix, result);
    });
    if (!settings_.split) return;
    split_pieces(text, [this](std::string_view view, std::vector<Segment>& segments) {
      find_characters(
          view, [this](char32_t c) { return c == settings_.replacement; }, segments);
      apply_behavior(SplitBehavior::kMergedWithNext, segments);
    });
  }

 private:
  size_t replace_spaces(std::string_view view, size_t origin_prefix, std::string& result) const {
    const size_t begin = result.size();
    const bool wants_prefix =
        settings_.prepend == Metaspace::Prepend::kAlways ||
        (settings_.prepend == Metaspace::Prepend::kFirst && origin_prefix > 0);
    if (wants_prefix && !view.starts_with(replacement_) && !view.starts_with(' '))
      result += replacement_;
    size_t prefix = 0;
    for (size_t i = 0; i < view.size(); ++i) {
      if (view[i] == ' ') {
        result += replacement_;
      } else {
        result += view[i];
      }
      if (i < origin_prefix) prefix = result.size() - begin;
    }
    return prefix;
  }

  Metaspace settings_;
  std::string replacement_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<const PreTokenizer>> items)
      : items_(std::move(items)) {}
  void apply(PreTokenizedText& text) const override {
    const size_t input_size = text.text.size();
    for (const auto& item : items_) {
      item->apply(text);
      check_growth(text.text.size(), input_size);
    }
  }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> items_;
};

std::unique_ptr<const PreTokenizer> make_sequence(const JsonObject& object) {
  std::vector<std::unique_ptr<const PreTokenizer>> items;
  for (const JsonObject& item : object.objects("pretokenizers")) {
    items.push_back(make_pre_tokenizer(item));
  }
  return std::make_unique<PreTokenizerSequence>(std::move(items));
}

std::unique_ptr<const PreTokenizer> make_digits(const JsonObject& object) {
  return character_split(is_numeric, object.boolean("individual_digits")
                                         ? SplitBehavior::kIsolated
                                         : SplitBehavior::kContiguous);
}

/// White space and, alone, punctuation; ASCII symbols count as punctuation.
std::unique_ptr<const PreTokenizer> make_bert() {
  std::vector<std::unique_ptr<const PreTokenizer>> items;
  items.push_back(character_split(is_white_space, SplitBehavior::kRemoved));
  items.push_back(character_split(is_punctuation, SplitBehavior::kIsolated));
  return std::make_unique<PreTokenizerSequence>(std::move(items));
}

}  // namespace

Metaspace::Metaspace(const JsonObject& object)
    : replacement(object.character("replacement")),
      prepend(Prepend::kAlways),
      split(object.boolean("split", true)) {
  const bool no_prefix = object.has("add_prefix_space") && !object.boolean("add_prefix_space");
  const std::string scheme = object.has("prepend_scheme") ? object.string("prepend_scheme")
                             : no_prefix                  ? "never"
                                                          : "always";
  if (scheme == "never") {
    prepend = Prepend::kNever;
  } else if (scheme == "first") {
    prepend = Prepend::kFirst;
  } else if (scheme != "always") {
    object.fail("the prepend_scheme \"" + scheme + "\" is not supported");
  }
  if (no_prefix && prepend != Prepend::kNever)
    object.fail("add_prefix_space and prepend_scheme disagree");
}

std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const JsonObject& object) {
  const std::string type = object.type();
  if (type == "Sequence") return make_sequence(object);
  if (type == "ByteLevel") return std::make_unique<ByteLevel>(object);
  if (type == "Split") {
    return std::make_unique<PatternSplit>(
        read_pattern(object), read_split_behavior(object, "behavior"), object.boolean("invert"));
  }
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "WhitespaceSplit") return character_split(is_white_space, SplitBehavior::kRemoved);
  if (type == "BertPreTokenizer") return make_bert();
  if (type == "Punctuation") {
    return character_split(is_punctuation, object.has("behavior")
                                               ? read_split_behavior(object, "behavior")
                                               : SplitBehavior::kIsolated);
  }
  if (type == "Digits") return make_digits(object);
  if (type == "Metaspace") return std::make_unique<MetaspacePreTokenizer>(Metaspace(object));
  if (type == "CharDelimiterSplit" || type == "Delimiter") {
    const char32_t delimiter = object.character("delimiter");
    return character_split([delimiter](char32_t c) { return c == delimiter; },
                           SplitBehavior::kRemoved);
  }
  if (type == "FixedLength") {
    constexpr int64_t kDefault = 5;
    return std::make_unique<FixedLength>(
        object.has("length") ? object.integer("length", 1, INT32_MAX) : kDefault);
  }
  object.fail_unknown_type();
}

}  // namespace lathe::tokenizer
