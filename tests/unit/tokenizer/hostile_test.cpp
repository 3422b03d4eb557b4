#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace lathe::tokenizer {
namespace {

using Json = nlohmann::json;

Json bpe() {
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}},
            {"merges", Json::array({Json::array({"a", "b"})})}}}};
}

void expect_error(const std::string& json, const std::string& message,
                  const std::string& text = "ab") {
  try {
    Tokenizer::from_json(json, "x/tokenizer.json").encode(text, true);
    ADD_FAILURE() << "no error: " << message;
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos)
        << error.what() << "\nexpected: " << message;
  }
}

TEST(Hostile, TheBaseIsFine) {
  EXPECT_EQ(Tokenizer::from_json(bpe().dump(), "t").encode("abb", true),
            (std::vector<int64_t>{2, 1}));
}

TEST(Hostile, BrokenJsonNamesTheFile) {
  expect_error("", "x/tokenizer.json: ");
  expect_error("{\"model\":", "x/tokenizer.json: ");
  expect_error("[]", "expected an object, found []");
  expect_error("{\"model\":{\"vocab\":{\"\xff\":1}}}", "ill-formed UTF-8");
  expect_error(std::string(100'000, '['), "nested deeper than 64");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  expect_error(objects, "nested deeper than 64");
}

TEST(Hostile, VocabularyIdsAreChecked) {
  const auto with_vocab = [](const Json& vocab) {
    Json json = bpe();
    json["model"]["vocab"] = vocab;
    return json.dump();
  };
  expect_error(with_vocab({{"a", -1}, {"b", 1}, {"ab", 2}}), "the id of \"a\" is -1");
  expect_error(with_vocab({{"a", 4'000'000'000u}, {"b", 1}, {"ab", 2}}), "expected 0 to 16777215");
  expect_error(with_vocab({{"a", 1}, {"b", 1}, {"ab", 2}}), "gives the id 1 to ");
  expect_error(with_vocab({{"a", 1.5}}), "a map from tokens to ids");
  expect_error(with_vocab({{"a", "x"}}), "a map from tokens to ids");
  expect_error(with_vocab({{"a", Json::array()}}), "a map from tokens to ids");
  expect_error(with_vocab({{"a", nullptr}}), "a map from tokens to ids");
  expect_error(with_vocab(Json::array({Json::array({"a", 1.0})})),
               "must be a map from tokens to ids");
  expect_error(with_vocab(nullptr), "must be a map from tokens to ids");
  expect_error(R"({"model":{"type":"BPE","vocab":{},"vocab":{},"merges":[]}})",
               "model.vocab is there twice");
}

TEST(Hostile, MergesAreChecked) {
  const auto with_merges = [](const Json& merges) {
    Json json = bpe();
    json["model"]["merges"] = merges;
    return json.dump();
  };
  const auto one = [](const Json& merge) { return Json::array({merge}); };
  const auto parts = [&](const std::vector<Json>& merge) { return with_merges(one(Json(merge))); };
  expect_error(parts({"a", "x"}), "merges[0] needs the token \"x\"");
  expect_error(parts({"b", "a"}), "needs the token \"ba\"");
  expect_error(with_merges(one("a b c")), "expected \"left right\", found \"a b c\"");
  expect_error(with_merges(one("ab")), "expected \"left right\"");
  const std::string form = "a list of \"left right\" or [left, right]";
  expect_error(parts({"a"}), form);
  expect_error(parts({"a", "b", "c"}), form);
  expect_error(parts({"a", 1}), form);
  expect_error(with_merges(one(Json::object())), form);
  expect_error(with_merges(nullptr), "\"merges\" is missing");
}

TEST(Hostile, UnknownComponentsAreNamed) {
  for (const char* section :
       {"normalizer", "pre_tokenizer", "post_processor", "decoder", "model"}) {
    Json json = bpe();
    json[section]["type"] = "Frobnicate";
    expect_error(json.dump(), "the type \"Frobnicate\" is not supported");
    json[section] = "text";
    expect_error(json.dump(), "expected an object, found \"text\"");
  }
  Json json = bpe();
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Digits"}}}}};
  expect_error(json.dump(), "pre_tokenizer.pretokenizers[0]: \"individual_digits\" is missing");
  json = bpe();
  json["version"] = "2.0";
  expect_error(json.dump(), "the version \"2.0\" is not supported");
}

TEST(Hostile, FieldsAreChecked) {
  const auto with = [](const char* section, const Json& value) {
    Json json = bpe();
    json[section] = value;
    return json.dump();
  };
  expect_error(with("pre_tokenizer", {{"type", "Metaspace"}, {"replacement", "ab"}}),
               "\"replacement\" must be one character");
  expect_error(with("pre_tokenizer", {{"type", "FixedLength"}, {"length", 0}}),
               "\"length\" must be an integer from 1");
  expect_error(with("pre_tokenizer", {{"type", "Split"},
                                      {"pattern", {{"Regex", "("}}},
                                      {"behavior", "Isolated"},
                                      {"invert", false}}),
               "pre_tokenizer.pattern: regular expression \"(\"");
  expect_error(with("pre_tokenizer", {{"type", "Split"},
                                      {"pattern", {{"String", "a"}}},
                                      {"behavior", "Eaten"},
                                      {"invert", false}}),
               "the behavior \"Eaten\" is not supported");
  expect_error(with("added_tokens", 5), "added_tokens must be an array");
  expect_error(with("added_tokens", {{{"id", 0}}}), "added_tokens[0]: \"content\" is missing");
  expect_error(with("post_processor",
                    {{"type", "BertProcessing"}, {"cls", {"[CLS]", -5}}, {"sep", {"[SEP]", 1}}}),
               "must be [token, id]");
  const Json piece = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  expect_error(with("post_processor", {{"type", "TemplateProcessing"},
                                       {"single", {piece}},
                                       {"pair", Json::array()},
                                       {"special_tokens", Json::object()}}),
               "\"<s>\" is not in special_tokens");
}

/// The field precompiled_charsmap for these units of a double array, without replacements.
std::string charsmap_text(const std::vector<uint32_t>& units) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::vector<uint32_t> words = {static_cast<uint32_t>(units.size() * 4)};
  words.insert(words.end(), units.begin(), units.end());
  std::string result;
  uint64_t bits = 0;
  int count = 0;
  for (size_t i = 0; i < words.size() * 4; ++i) {
    bits = (bits << 8) | ((words[i / 4] >> (8 * (i % 4))) & 0xFF);
    for (count += 8; count >= 6; count -= 6) result += kDigits[(bits >> (count - 6)) & 63];
  }
  if (count > 0) result += kDigits[(bits << (6 - count)) & 63];
  return result;
}

TEST(Hostile, CharsmapsAreChecked) {
  const auto with = [](const std::string& base64) {
    Json json = bpe();
    json["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", base64}};
    return json.dump();
  };
  expect_error(with("?"), "not base64");
  expect_error(with(""), "expected at least 4");
  expect_error(with("/////w=="), "a trie of 4294967295 bytes in 4 bytes");
  expect_error(with("AAAAAA=="), "the trie is empty");
  // Unit 0 leads to unit 'a', which says that a replacement hangs on a unit behind the end.
  std::vector<uint32_t> units('a' + 1);
  units['a'] = 'a' | (1u << 8) | (0x1FFFFFu << 10);
  expect_error(with(charsmap_text(units)), "the trie points outside itself");
  // Now the unit is there, and names a place behind the replacements.
  units['a'] = 'a' | (1u << 8) | ((uint32_t{'a'} ^ 1u) << 10);
  units[1] = 0x7FFFFFFFu;
  expect_error(with(charsmap_text(units)), "the trie points at no replacement");
}

TEST(Hostile, RulesCannotGrowATextWithoutEnd) {
  Json json = bpe();
  Json grow = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(64, 'a')}};
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  for (int i = 0; i < 12; ++i) json["normalizer"]["normalizers"].push_back(grow);
  expect_error(json.dump(), "the tokenizer's rules make ");
  json["normalizer"] = {{"type", "Prepend"}, {"prepend", std::string(1 << 21, 'a')}};
  expect_error(json.dump(), "the tokenizer's rules make ");
}

TEST(Hostile, UnknownCharactersNeedAnUnknownToken) {
  const Json unigram = {{"model",
                         {{"type", "Unigram"},
                          {"unk_id", nullptr},
                          {"vocab", Json::array({Json::array({"a", -1.0})})}}}};
  expect_error(unigram.dump(), "model.unk_id is missing", "b");
  EXPECT_EQ(Tokenizer::from_json(unigram.dump(), "t").encode("aa", true),
            (std::vector<int64_t>{0, 0}));
  const Json level = {
      {"model", {{"type", "WordLevel"}, {"unk_token", "?"}, {"vocab", {{"a", 0}}}}}};
  expect_error(level.dump(), "the text needs the unk_token \"?\"", "b");
  Json json = bpe();
  json["model"]["unk_token"] = "?";
  expect_error(json.dump(), "the text needs unk_token", "x");
  const Json bad = {
      {"model",
       {{"type", "Unigram"}, {"unk_id", 9}, {"vocab", Json::array({Json::array({"a", -1.0})})}}}};
  expect_error(bad.dump(), "\"unk_id\" must be an integer from 0 to 0");
}

TEST(Hostile, BacktrackingIsAnError) {
  Json json = bpe();
  json["pre_tokenizer"] = {{"type", "Split"},
                           {"pattern", {{"Regex", "(?:a+)+$"}}},
                           {"behavior", "Isolated"},
                           {"invert", false}};
  expect_error(json.dump(), "match limit exceeded", std::string(50, 'a') + "b");
}

}  // namespace
}  // namespace lathe::tokenizer
