#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "golden_files.h"
#include "tokenizer/gguf_vocabulary.h"

namespace lathe::tokenizer {
namespace {

/// A GGUF vocabulary from a trained tokenizer.json.
GgufVocabulary byte_level_vocabulary(const std::string& name, const std::string& pre) {
  const auto json = nlohmann::json::parse(golden::read_gzip(name));
  GgufVocabulary result{.model = "gpt2", .pre = pre};
  const auto set = [&](size_t id, const std::string& token, GgufTokenType type) {
    for (size_t i = result.tokens.size(); i <= id; ++i) {
      result.tokens.push_back(fmt::format("[PAD{}]", i));
      result.token_types.push_back(static_cast<int32_t>(GgufTokenType::kUnused));
    }
    result.tokens[id] = token;
    result.token_types[id] = static_cast<int32_t>(type);
  };
  for (const auto& [token, id] : json["model"]["vocab"].items())
    set(id, token, GgufTokenType::kNormal);
  for (const auto& token : json["added_tokens"]) {
    set(token["id"], token["content"],
        token["special"] ? GgufTokenType::kControl : GgufTokenType::kUserDefined);
  }
  for (const auto& merge : json["model"]["merges"]) {
    result.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  return result;
}

/// "ab" before "bc": abc is ab c.
GgufVocabulary sentencepiece_vocabulary() {
  return {.model = "llama",
          .tokens = {"<unk>", "<s>", "</s>", "<0x00>", "\u2581", "a", "b", "c", "ab", "bc",
                     "\u2581a", "<0xC3>", "<0xA9>"},
          .token_types = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 1, 6, 6},
          .scores = {0, 0, 0, 0, -10, -11, -12, -13, -1, -2, -3, 0, 0}};
}

class GgufByteLevel : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(GgufByteLevel, GivesTheIdsOfTheTokenizerJsonItCameFrom) {
  const auto [name, pre] = GetParam();
  const auto expected = Tokenizer::from_json(golden::read_gzip(name), name);
  auto vocabulary = byte_level_vocabulary(name, pre);
  const auto found = Tokenizer::from_gguf(vocabulary, "gguf");
  for (const std::string& text : golden::read_corpus()) {
    EXPECT_EQ(found.encode(text, false), expected.encode(text, false)) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Trained, GgufByteLevel,
                         testing::Values(std::pair("gpt2.json.gz", "gpt-2"),
                                         std::pair("smollm.json.gz", "smollm"),
                                         std::pair("gpt4o.json.gz", "gpt-4o"),
                                         std::pair("llama3.json.gz", "llama-bpe"),
                                         std::pair("qwen2.json.gz", "qwen2")));

TEST(Gguf, SentencePieceMergesTheBestScoreFirst) {
  const auto tokenizer = Tokenizer::from_gguf(sentencepiece_vocabulary(), "gguf");
  EXPECT_EQ(tokenizer.encode("abc", true), (std::vector<int64_t>{1, 4, 8, 7}));
  EXPECT_EQ(tokenizer.encode("a bc", false), (std::vector<int64_t>{10, 4, 9}));
  EXPECT_EQ(tokenizer.encode("\u00e9", false), (std::vector<int64_t>{4, 11, 12}));
  EXPECT_EQ(tokenizer.encode("xx", false), (std::vector<int64_t>{4, 0}));
  EXPECT_EQ(tokenizer.encode("a</s>b", false), (std::vector<int64_t>{10, 2, 4, 6}));
  EXPECT_EQ(tokenizer.decode(std::vector<int64_t>{1, 10, 4, 9, 11, 12}, true), "a bc\u00e9");
}

TEST(Gguf, SpacePrefixAndSpecialTokensFollowTheFields) {
  auto vocabulary = sentencepiece_vocabulary();
  vocabulary.add_space_prefix = false;
  vocabulary.add_bos = false;
  vocabulary.add_eos = true;
  const auto tokenizer = Tokenizer::from_gguf(vocabulary, "gguf");
  EXPECT_EQ(tokenizer.encode("ab", true), (std::vector<int64_t>{8, 2}));
  auto byte_level = byte_level_vocabulary("gpt2.json.gz", "llama-bpe");
  byte_level.bos_id = 0;
  EXPECT_EQ(Tokenizer::from_gguf(byte_level, "gguf").encode("", true), (std::vector<int64_t>{0}));
  byte_level.add_bos = false;
  EXPECT_TRUE(Tokenizer::from_gguf(byte_level, "gguf").encode("", true).empty());
}

TEST(Gguf, ConfigHoldsSpecialTokensAndTemplate) {
  auto vocabulary = sentencepiece_vocabulary();
  vocabulary.chat_template = "{{ messages }}";
  const auto config = nlohmann::json::parse(tokenizer_config_json(vocabulary));
  EXPECT_EQ(config["bos_token"], "<s>");
  EXPECT_EQ(config["eos_token"], "</s>");
  EXPECT_EQ(config["unk_token"], "<unk>");
  EXPECT_FALSE(config.contains("pad_token"));
  EXPECT_EQ(config["chat_template"], "{{ messages }}");
  EXPECT_EQ(config["add_bos_token"], true);
  EXPECT_EQ(config["add_eos_token"], false);
  EXPECT_EQ(config["added_tokens_decoder"]["1"]["content"], "<s>");
  EXPECT_EQ(config["tokenizer_class"], "PreTrainedTokenizerFast");
}

TEST(Gguf, PartsThatDoNotFitAreErrors) {
  const auto expect_error = [](const auto& change, const char* message) {
    auto vocabulary = sentencepiece_vocabulary();
    change(vocabulary);
    try {
      tokenizer_json(vocabulary);
      ADD_FAILURE() << message;
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  };
  using V = GgufVocabulary;
  expect_error([](V& v) { v.model = "rwkv"; }, "\"rwkv\" is not supported");
  expect_error([](V& v) { v.model = "gpt2", v.pre = "new"; },
               "\"new\" is not supported, expected one of gpt-2");
  expect_error([](V& v) { v.scores.pop_back(); }, "scores has 12 entries for 13 tokens");
  expect_error([](V& v) { v.token_types.pop_back(); }, "token_type has 12 entries");
  expect_error([](V& v) { v.bos_id = 13; }, "bos_token_id is 13");
  expect_error([](V& v) { v.eos_id = -1; }, "eos_token_id is -1");
  expect_error([](V& v) { v.tokens[5] = "b"; }, "5 and 6 are both \"b\"");
  expect_error([](V& v) { v.tokens[5] = "\xff"; }, "5 is not UTF-8");
  expect_error([](V& v) { v.tokens.clear(); }, "has 0 tokens");
  expect_error([](V& v) { v.model = "gpt2", v.pre = "gpt-2", v.merges = {"ab"}; },
               "expected \"left right\"");
  expect_error([](V& v) { v.model = "gpt2", v.pre = "gpt-2", v.merges = {"a c"}; },
               "needs the token \"ac\"");
  expect_error([](V& v) { v.token_types.assign(13, 1), v.add_bos = true; },
               "bos_token_id is missing");
}

}  // namespace
}  // namespace lathe::tokenizer
