#include "tokenizer/normalizer.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/pattern_field.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

void check_growth(size_t size, size_t input_size) {
  constexpr size_t kFactor = 64;
  constexpr size_t kFree = 1 << 20;
  if (size / kFactor > input_size + kFree / kFactor) {
    throw_data("the tokenizer's rules make {} bytes of {}", size, input_size);
  }
}

namespace {

/// Rewrites character by character; function(c, result) appends what becomes of c.
template <typename Function>
void map_characters(NormalizedText& text, const Function& function) {
  std::string result;
  result.reserve(text.text.size() + text.text.size() / 8);
  size_t prefix = 0;
  for (size_t position = 0; position < text.text.size();) {
    function(next_code_point(text.text, position), result);
    if (position <= text.origin_prefix) prefix = result.size();
  }
  text = {std::move(result), prefix};
}

class FormNormalizer : public Normalizer {
 public:
  explicit FormNormalizer(NormalForm form) : form_(form) {}
  void apply(NormalizedText& text) const override {
    const size_t prefix =
        normal_form(std::string_view(text.text).substr(0, text.origin_prefix), form_).size();
    std::string result = normal_form(text.text, form_);
    text.origin_prefix = std::min(prefix, result.size());
    text.text = std::move(result);
  }

 private:
  NormalForm form_;
};

class Lowercase : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    map_characters(text, [](char32_t c, std::string& result) { append_lower_case(result, c); });
  }
};

class StripAccents : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    map_characters(text, [](char32_t c, std::string& result) {
      if (!is_combining_mark(c)) append_code_point(result, c);
    });
  }
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(NormalizedText& text) const override {
    size_t begin = 0, end = 0;
    bool leading = left_;
    for (size_t position = 0; position < text.text.size();) {
      const bool space = is_white_space(next_code_point(text.text, position));
      leading = leading && space;
      if (leading) begin = position;
      if (!space || !right_) end = position;
    }
    text.text = text.text.substr(begin, std::max(begin, end) - begin);
    text.origin_prefix =
        std::min(text.origin_prefix - std::min(text.origin_prefix, begin), text.text.size());
  }

 private:
  bool left_, right_;
};

class Replace : public Normalizer {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(NormalizedText& text) const override {
    std::vector<Segment> segments;
    pattern_.find_segments(text.text, segments);
    std::string result;
    size_t prefix = 0;
    for (const Segment& segment : segments) {
      if (segment.is_match) {
        result += content_;
        check_growth(result.size(), text.text.size());
        // What replaces a match belongs to the match's last byte; before the text there is only its
        // start.
        if (segment.end <= text.origin_prefix) prefix = result.size();
      } else {
        result.append(text.text, segment.begin, segment.end - segment.begin);
        const size_t behind =
            segment.end - std::min(segment.end, std::max(segment.begin, text.origin_prefix));
        if (segment.begin < text.origin_prefix) prefix = result.size() - behind;
      }
    }
    text = {std::move(result), prefix};
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  void apply(NormalizedText& text) const override {
    if (text.text.empty()) return;
    check_growth(text.text.size() + prefix_.size(), text.text.size());
    text.text.insert(0, prefix_);
    if (text.origin_prefix > 0) text.origin_prefix += prefix_.size();
  }

 private:
  std::string prefix_;
};

/// Chinese characters as BERT counts them: the CJK blocks up to Unicode 8.
bool is_bert_chinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
         (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(const JsonObject& object)
      : clean_text_(object.boolean("clean_text")),
        handle_chinese_chars_(object.boolean("handle_chinese_chars")),
        lowercase_(object.boolean("lowercase")),
        strip_accents_(object.boolean("strip_accents", lowercase_)) {}

  void apply(NormalizedText& text) const override {
    map_characters(text, [this](char32_t c, std::string& result) {
      if (clean_text_ && (c == 0 || c == kReplacementCharacter || is_bert_control(c))) return;
      const bool chinese = handle_chinese_chars_ && is_bert_chinese(c);
      if (chinese) result += ' ';
      append_code_point(result, clean_text_ && is_white_space(c) ? U' ' : c);
      if (chinese) result += ' ';
    });
    if (strip_accents_) {
      FormNormalizer(NormalForm::kNfd).apply(text);
      map_characters(text, [](char32_t c, std::string& result) {
        if (!is_nonspacing_mark(c)) append_code_point(result, c);
      });
    }
    if (lowercase_) Lowercase().apply(text);
  }

 private:
  bool clean_text_, handle_chinese_chars_, lowercase_, strip_accents_;
};

/// The rules of SentencePiece's "nmt" that are not normal forms.
class Nmt : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    map_characters(text, [](char32_t c, std::string& result) {
      const bool removed = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
                           c == 0x7F || c == 0x8F || c == 0x9F;
      const bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                         c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
      if (!removed) append_code_point(result, space ? U' ' : c);
    });
  }
};

class Precompiled : public Normalizer {
 public:
  explicit Precompiled(std::string_view base64) : charsmap_(base64) {}
  void apply(NormalizedText& text) const override {
    const size_t prefix =
        charsmap_.normalize(std::string_view(text.text).substr(0, text.origin_prefix)).size();
    std::string result = charsmap_.normalize(text.text);
    check_growth(result.size(), text.text.size());
    // Where the first character is removed, `tokenizers` counts the next one as the first.
    const bool removed = text.origin_prefix > 0 && prefix == 0 && !result.empty();
    const size_t first = removed ? utf8_length(static_cast<unsigned char>(result[0])) : prefix;
    text.origin_prefix = std::min(first, result.size());
    text.text = std::move(result);
  }

 private:
  Charsmap charsmap_;
};

class ByteLevelNormalizer : public Normalizer {
 public:
  void apply(NormalizedText& text) const override {
    const std::string_view bytes = text.text;
    std::string result;
    append_byte_characters(result, bytes.substr(0, text.origin_prefix));
    const size_t prefix = result.size();
    append_byte_characters(result, bytes.substr(text.origin_prefix));
    text = {std::move(result), prefix};
  }
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<const Normalizer>> items)
      : items_(std::move(items)) {}
  void apply(NormalizedText& text) const override {
    const size_t input_size = text.text.size();
    for (const auto& item : items_) {
      item->apply(text);
      check_growth(text.text.size(), input_size);
    }
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> items_;
};

std::unique_ptr<const Normalizer> make_sequence(const JsonObject& object) {
  std::vector<std::unique_ptr<const Normalizer>> items;
  for (const JsonObject& item : object.objects("normalizers")) {
    items.push_back(make_normalizer(item));
  }
  return std::make_unique<NormalizerSequence>(std::move(items));
}

std::optional<NormalForm> form_of(const std::string& type) {
  if (type == "NFC") return NormalForm::kNfc;
  if (type == "NFD") return NormalForm::kNfd;
  if (type == "NFKC") return NormalForm::kNfkc;
  if (type == "NFKD") return NormalForm::kNfkd;
  return std::nullopt;
}

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const JsonObject& object) {
  const std::string type = object.type();
  if (const auto form = form_of(type)) return std::make_unique<FormNormalizer>(*form);
  if (type == "Sequence") return make_sequence(object);
  if (type == "Lowercase") return std::make_unique<Lowercase>();
  if (type == "StripAccents") return std::make_unique<StripAccents>();
  if (type == "Strip")
    return std::make_unique<Strip>(object.boolean("strip_left"), object.boolean("strip_right"));
  if (type == "Replace")
    return std::make_unique<Replace>(read_pattern(object), object.string("content"));
  if (type == "Prepend") return std::make_unique<Prepend>(object.string("prepend"));
  if (type == "BertNormalizer" || type == "Bert") return std::make_unique<BertNormalizer>(object);
  if (type == "Nmt") return std::make_unique<Nmt>();
  if (type == "Precompiled")
    return std::make_unique<Precompiled>(object.string("precompiled_charsmap"));
  if (type == "ByteLevel") return std::make_unique<ByteLevelNormalizer>();
  object.fail_unknown_type();
}

}  // namespace lathe::tokenizer
