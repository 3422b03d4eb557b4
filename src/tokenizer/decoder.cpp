#include "tokenizer/decoder.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/error.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pattern_field.h"
#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/unicode.h"

namespace lathe::tokenizer {

namespace {

using Tokens = std::vector<std::string>;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  if (from.empty()) return;
  std::string result;
  size_t begin = 0;
  for (size_t found = text.find(from); found != std::string::npos; found = text.find(from, begin)) {
    result.append(text, begin, found - begin).append(to);
    begin = found + from.size();
  }
  result.append(text, begin);
  text = std::move(result);
}

std::string join(const Tokens& tokens) {
  std::string result;
  for (const std::string& token : tokens) result += token;
  return result;
}

size_t total_size(const Tokens& tokens) {
  size_t size = 0;
  for (const std::string& token : tokens) size += token.size();
  return size;
}

/// Undoes the spaces that BERT's splitting puts around punctuation and contractions.
void clean_up(std::string& text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kRules = {
      {{" .", "."},
       {" ?", "?"},
       {" !", "!"},
       {" ,", ","},
       {" ' ", "'"},
       {" n't", "n't"},
       {" 'm", "'m"},
       {" do not", " don't"},
       {" 's", "'s"},
       {" 've", "'ve"},
       {" 're", "'re"}}};
  for (const auto& [from, to] : kRules) replace_all(text, from, to);
}

class ByteLevelDecoder : public Decoder {
 public:
  Tokens apply(Tokens tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) append_bytes(token, bytes);
    return {replace_invalid_utf8(bytes)};
  }

 private:
  /// A token with a character that is not of the alphabet stands for itself.
  static void append_bytes(const std::string& token, std::string& bytes) {
    const size_t size = bytes.size();
    for (size_t position = 0; position < token.size();) {
      const auto byte = byte_of_character(next_code_point(token, position));
      if (!byte) {
        bytes.resize(size);
        bytes += token;
        return;
      }
      bytes.push_back(static_cast<char>(*byte));
    }
  }
};

class ByteFallbackDecoder : public Decoder {
 public:
  Tokens apply(Tokens tokens) const override {
    Tokens result;
    std::string bytes;
    for (std::string& token : tokens) {
      if (const auto byte = byte_of(token)) {
        bytes.push_back(static_cast<char>(*byte));
        continue;
      }
      flush(bytes, result);
      result.push_back(std::move(token));
    }
    flush(bytes, result);
    return result;
  }

 private:
  /// The byte of "<0x41>".
  static std::optional<unsigned char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || !token.ends_with('>'))
      return std::nullopt;
    constexpr std::string_view kDigits = "0123456789abcdef0123456789ABCDEF";
    const size_t high = token[3] == '+' ? 0 : kDigits.find(token[3]), low = kDigits.find(token[4]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    return static_cast<unsigned char>((high % 16) * 16 + low % 16);
  }

  /// Bytes that are no UTF-8 become one U+FFFD each.
  static void flush(std::string& bytes, Tokens& result) {
    if (bytes.empty()) return;
    if (is_valid_utf8(bytes)) {
      result.push_back(bytes);
    } else {
      result.insert(result.end(), bytes.size(), "\xEF\xBF\xBD");
    }
    bytes.clear();
  }
};

class FuseDecoder : public Decoder {
 public:
  Tokens apply(Tokens tokens) const override { return {join(tokens)}; }
};

class StripDecoder : public Decoder {
 public:
  explicit StripDecoder(const JsonObject& object)
      : start_(object.integer("start", 0, INT32_MAX)), stop_(object.integer("stop", 0, INT32_MAX)) {
    append_code_point(content_, object.character("content"));
  }
  Tokens apply(Tokens tokens) const override {
    for (std::string& token : tokens) strip(token);
    return tokens;
  }

 private:
  void strip(std::string& token) const {
    size_t begin = 0, end = token.size();
    const std::string_view text = token;
    for (int64_t i = 0; i < start_ && text.substr(begin).starts_with(content_); ++i)
      begin += content_.size();
    for (int64_t i = 0; i < stop_ && text.substr(0, end).ends_with(content_); ++i)
      end -= content_.size();
    token = std::string(text.substr(begin, std::max(begin, end) - begin));
  }

  std::string content_;
  int64_t start_;
  int64_t stop_;
};

class MetaspaceDecoder : public Decoder {
 public:
  explicit MetaspaceDecoder(const Metaspace& settings)
      : drops_first_(settings.prepend != Metaspace::Prepend::kNever) {
    append_code_point(replacement_, settings.replacement);
  }
  Tokens apply(Tokens tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      replace_all(tokens[i], replacement_, i == 0 && drops_first_ ? "" : " ");
    }
    return tokens;
  }

 private:
  bool drops_first_;
  std::string replacement_;
};

class WordPieceDecoder : public Decoder {
 public:
  explicit WordPieceDecoder(const JsonObject& object)
      : prefix_(object.string("prefix")), cleanup_(object.boolean("cleanup")) {}
  Tokens apply(Tokens tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string& token = tokens[i];
      if (i > 0) token = token.starts_with(prefix_) ? token.substr(prefix_.size()) : " " + token;
      if (cleanup_) clean_up(token);
    }
    return tokens;
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class BpeDecoder : public Decoder {
 public:
  explicit BpeDecoder(const JsonObject& object) : suffix_(object.string("suffix")) {}
  Tokens apply(Tokens tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i)
      replace_all(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
    return tokens;
  }

 private:
  std::string suffix_;
};

class ReplaceDecoder : public Decoder {
 public:
  explicit ReplaceDecoder(const JsonObject& object)
      : pattern_(read_pattern(object)), content_(object.string("content")) {}
  Tokens apply(Tokens tokens) const override {
    std::vector<Segment> segments;
    const size_t input_size = total_size(tokens);
    size_t output_size = 0;
    for (std::string& token : tokens) {
      segments.clear();
      pattern_.find_segments(token, segments);
      std::string result;
      for (const Segment& segment : segments) {
        result +=
            segment.is_match ? content_ : token.substr(segment.begin, segment.end - segment.begin);
        check_growth(output_size + result.size(), input_size);
      }
      output_size += result.size();
      token = std::move(result);
    }
    return tokens;
  }

 private:
  Pattern pattern_;
  std::string content_;
};

/// Connectionist temporal classification: repeated tokens count once, pad tokens not at all.
class CtcDecoder : public Decoder {
 public:
  explicit CtcDecoder(const JsonObject& object)
      : pad_token_(object.string("pad_token")),
        word_delimiter_token_(object.string("word_delimiter_token")),
        cleanup_(object.boolean("cleanup")) {}
  Tokens apply(Tokens tokens) const override {
    tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
    for (std::string& token : tokens) {
      replace_all(token, pad_token_, "");
      if (!cleanup_) continue;
      clean_up(token);
      replace_all(token, word_delimiter_token_, " ");
    }
    std::erase(tokens, std::string());
    return tokens;
  }

 private:
  std::string pad_token_;
  std::string word_delimiter_token_;
  bool cleanup_;
};

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(const JsonObject& object) {
    for (const JsonObject& item : object.objects("decoders")) {
      items_.push_back(make_decoder(item));
    }
  }
  Tokens apply(Tokens tokens) const override {
    const size_t input_size = total_size(tokens);
    for (const auto& item : items_) {
      tokens = item->apply(std::move(tokens));
      check_growth(total_size(tokens), input_size);
    }
    return tokens;
  }

 private:
  std::vector<std::unique_ptr<const Decoder>> items_;
};

}  // namespace

std::unique_ptr<const Decoder> make_decoder(const JsonObject& object) {
  const std::string type = object.type();
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "Strip") return std::make_unique<StripDecoder>(object);
  if (type == "Metaspace") return std::make_unique<MetaspaceDecoder>(Metaspace(object));
  if (type == "WordPiece") return std::make_unique<WordPieceDecoder>(object);
  if (type == "BPEDecoder") return std::make_unique<BpeDecoder>(object);
  if (type == "Replace") return std::make_unique<ReplaceDecoder>(object);
  if (type == "CTC") return std::make_unique<CtcDecoder>(object);
  if (type == "Sequence") return std::make_unique<DecoderSequence>(object);
  object.fail_unknown_type();
}

}  // namespace lathe::tokenizer
