#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "golden_files.h"

namespace lathe::tokenizer {
namespace {

nlohmann::json word_level(std::vector<std::string> words) {
  nlohmann::json vocab = {{"[UNK]", 0}};
  for (const std::string& word : words) vocab[word] = vocab.size();
  return {{"version", "1.0"},
          {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
          {"model", {{"type", "WordLevel"}, {"unk_token", "[UNK]"}, {"vocab", vocab}}}};
}

TEST(Tokenizer, EncodesAndDecodes) {
  const auto tokenizer = Tokenizer::from_json(word_level({"a", "b"}).dump(), "t");
  EXPECT_EQ(tokenizer.encode("b a  c\n", true), (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(tokenizer.decode(std::vector<int64_t>{1, 99, -1, 2}, false), "a b");
  EXPECT_EQ(tokenizer.decode({}, false), "");
  EXPECT_TRUE(tokenizer.encode("", true).empty());
}

TEST(Tokenizer, AddedTokensCountFromTheSizeOfTheVocabulary) {
  auto json = word_level({"a"});
  json["added_tokens"] = {{{"id", 2},
                           {"content", "<x>"},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", false},
                           {"special", true}},
                          {{"id", 1},
                           {"content", "a"},
                           {"single_word", false},
                           {"lstrip", false},
                           {"rstrip", false},
                           {"normalized", true},
                           {"special", false}}};
  const auto tokenizer = Tokenizer::from_json(json.dump(), "t");
  EXPECT_EQ(tokenizer.vocab_size(), 3);
  EXPECT_EQ(tokenizer.id_limit(), 3);
  EXPECT_EQ(tokenizer.id_of("<x>"), 2);
  EXPECT_EQ(tokenizer.id_of("a"), 1);
  EXPECT_FALSE(tokenizer.id_of("none"));
  EXPECT_EQ(tokenizer.token_of(2), "<x>");
  EXPECT_FALSE(tokenizer.token_of(7));
  EXPECT_TRUE(tokenizer.is_special(2));
  EXPECT_FALSE(tokenizer.is_special(1));
  EXPECT_EQ(tokenizer.encode("zap<x>", true), (std::vector<int64_t>{0, 1, 0, 2}));
  EXPECT_EQ(tokenizer.decode(std::vector<int64_t>{1, 2}, true), "a");
}

TEST(Tokenizer, TruncationAndPaddingAreIgnored) {
  auto json = word_level({"a"});
  json["truncation"] = {
      {"direction", "Right"}, {"max_length", 1}, {"strategy", "LongestFirst"}, {"stride", 0}};
  json["padding"] = {{"strategy", {{"Fixed", 8}}},
                     {"direction", "Right"},
                     {"pad_to_multiple_of", nullptr},
                     {"pad_id", 0},
                     {"pad_type_id", 0},
                     {"pad_token", "[PAD]"}};
  EXPECT_EQ(Tokenizer::from_json(json.dump(), "t").encode("a a a", true).size(), 3u);
}

TEST(Tokenizer, ByteLevelTextComesBack) {
  const auto tokenizer = Tokenizer::from_json(golden::read_gzip("gpt2.json.gz"), "gpt2");
  for (const std::string& text : golden::read_corpus()) {
    if (text.find("<|endoftext|>") != std::string::npos) continue;
    const std::string decoded = tokenizer.decode(tokenizer.encode(text, false), false);
    const bool broken = decoded.find("\xEF\xBF\xBD") != std::string::npos;
    EXPECT_TRUE(broken || decoded == text) << text;
  }
}

TEST(Tokenizer, LongTextsTakeLinearTime) {
  // One word of a megabyte: a quadratic merge would not end within the test's time limit.
  for (const char* name : {"gpt2.json.gz", "llama2.json.gz"}) {
    const auto tokenizer = Tokenizer::from_json(golden::read_gzip(name), name);
    EXPECT_GT(tokenizer.encode(std::string(1'000'000, 'a'), false).size(), 1000u);
    EXPECT_GT(tokenizer.encode(std::string(1'000'000, ' '), false).size(), 1000u);
  }
}

TEST(Tokenizer, CopiesShareTheTables) {
  const auto first = Tokenizer::from_json(word_level({"a"}).dump(), "t");
  const Tokenizer second = first;
  EXPECT_EQ(second.encode("a", true), first.encode("a", true));
}

}  // namespace
}  // namespace lathe::tokenizer
