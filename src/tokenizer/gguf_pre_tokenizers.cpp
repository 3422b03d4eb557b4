#include <array>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "tokenizer/gguf_defaults.h"

namespace lathe::tokenizer {

namespace {

using Json = nlohmann::ordered_json;

enum class Splitting {
  kGpt2,
  kDigits,
  kLlama3,
  kQwen2,
  kTekken,
  kGpt4o,
  kDeepseekV3,
  kFalcon,
  kDefault
};

struct KnownPre {
  std::string_view name;
  Splitting splitting;
  bool nfc = false;
  bool ignore_merges = false;
  bool add_bos = false;
};

constexpr KnownPre kKnown[] = {
    {"gpt-2", Splitting::kGpt2},
    {"phi-2", Splitting::kGpt2},
    {"jais", Splitting::kGpt2},
    {"mpt", Splitting::kGpt2, true},
    {"olmo", Splitting::kGpt2, true},
    {"smollm", Splitting::kDigits},
    {"starcoder", Splitting::kDigits},
    {"refact", Splitting::kDigits},
    {"codeshell", Splitting::kDigits},
    {"command-r", Splitting::kDigits, true},
    {"llama-bpe", Splitting::kLlama3, false, true, true},
    {"llama3", Splitting::kLlama3, false, true, true},
    {"llama-v3", Splitting::kLlama3, false, true, true},
    {"falcon3", Splitting::kLlama3, false, true, true},
    {"dbrx", Splitting::kLlama3},
    {"smaug-bpe", Splitting::kLlama3},
    {"qwen2", Splitting::kQwen2, true},
    {"deepseek-r1-qwen", Splitting::kQwen2, true},
    {"stablelm2", Splitting::kQwen2},
    {"tekken", Splitting::kTekken, false, true, true},
    {"gpt-4o", Splitting::kGpt4o},
    {"llama4", Splitting::kGpt4o},
    {"deepseek-v3", Splitting::kDeepseekV3},
    {"falcon", Splitting::kFalcon},
    {"default", Splitting::kDefault},
};

constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
                               R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4o =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Chinese characters, Hiragana and Katakana.
constexpr const char* kDeepseekEastAsian = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
constexpr const char* kDeepseekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json split(const char* regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

Json digits(bool individual) { return {{"type", "Digits"}, {"individual_digits", individual}}; }

Json sequence(Json items) { return {{"type", "Sequence"}, {"pretokenizers", std::move(items)}}; }

Json pre_tokenizer_of(Splitting splitting) {
  const Json punctuation = {{"type", "Punctuation"}, {"behavior", "Contiguous"}};
  switch (splitting) {
    case Splitting::kGpt2:
      return byte_level(true);
    case Splitting::kDigits:
      return sequence(Json::array({digits(true), byte_level(true)}));
    case Splitting::kLlama3:
      return sequence(Json::array({split(kLlama3), byte_level(false)}));
    case Splitting::kQwen2:
      return sequence(Json::array({split(kQwen2), byte_level(false)}));
    case Splitting::kTekken:
      return sequence(Json::array({split(kTekken), byte_level(false)}));
    case Splitting::kGpt4o:
      return sequence(Json::array({split(kGpt4o), byte_level(false)}));
    case Splitting::kDeepseekV3:
      return sequence(Json::array({split(R"(\p{N}{1,3})"), split(kDeepseekEastAsian),
                                   split(kDeepseekV3), byte_level(false)}));
    case Splitting::kFalcon:
    case Splitting::kDefault:
      return sequence(
          Json::array({punctuation, byte_level(true), digits(false), split("[0-9][0-9][0-9]")}));
  }
  throw_internal("no pre-tokenizer for a splitting");
}

}  // namespace

GgufPreTokenizer gguf_pre_tokenizer(const std::string& pre) {
  if (pre.empty())
    spdlog::warn("tokenizer.ggml.pre is missing: the text is split by the rules of \"default\"");
  std::string names;
  for (const KnownPre& known : kKnown) {
    if (known.name == (pre.empty() ? "default" : pre)) {
      return {.normalizer = known.nfc ? Json{{"type", "NFC"}} : Json(),
              .pre_tokenizer = pre_tokenizer_of(known.splitting),
              .ignore_merges = known.ignore_merges,
              .add_bos = known.add_bos};
    }
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known.name);
  }
  throw_data("tokenizer.ggml.pre \"{}\" is not supported, expected one of {}", pre, names);
}

}  // namespace lathe::tokenizer
