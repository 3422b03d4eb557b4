#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "golden_files.h"

namespace lathe::tokenizer {
namespace {

constexpr size_t kVariantStep = 12;
constexpr size_t kShownFailures = 3;

const std::vector<std::string>& corpus() {
  static const auto texts = golden::read_corpus();
  return texts;
}

std::string shown(const Tokenizer& tokenizer, const std::string& text) {
  std::string result =
      nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + " ->";
  for (int64_t id : tokenizer.encode(text, true)) result += fmt::format(" {}", id);
  return result;
}

/// Compares the digests of texts[0], texts[step], ... with those from `offset` on.
void expect_digests(const Tokenizer& tokenizer, const std::string& digests, size_t offset,
                    size_t step, const std::string& name) {
  size_t failures = 0;
  for (size_t i = 0; i < corpus().size(); i += step, offset += 4) {
    ASSERT_LE(offset + 4, digests.size());
    if (golden::digest(tokenizer, corpus()[i]) == golden::u32_at(digests, offset)) continue;
    if (++failures <= kShownFailures)
      ADD_FAILURE() << name << ", text " << i << ": " << shown(tokenizer, corpus()[i]);
  }
  EXPECT_EQ(failures, 0u) << name;
}

class GoldenTokenizer : public testing::TestWithParam<const char*> {};

TEST_P(GoldenTokenizer, GivesTheIdsOfTokenizers) {
  const std::string name = GetParam();
  const auto tokenizer = Tokenizer::from_json(golden::read_gzip(name + ".json.gz"), name);
  expect_digests(tokenizer, golden::read_gzip(name + ".crc.gz"), 0, 1, name);
}

INSTANTIATE_TEST_SUITE_P(Trained, GoldenTokenizer,
                         testing::Values("gpt2", "roberta", "llama3", "qwen2", "smollm", "gpt4o",
                                         "possessive", "llama2", "mistral", "unigram",
                                         "unigram_bytes", "word_piece", "word_piece_cased",
                                         "word_level", "clip", "prefix_bpe"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Golden, SamplesHaveTheIdsOfTokenizers) {
  std::map<std::string, Tokenizer> tokenizers;
  std::istringstream lines(golden::read_gzip("samples.txt.gz"));
  size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    std::istringstream fields(line);
    std::string name;
    size_t index = 0;
    fields >> name >> index;
    std::vector<int64_t> ids;
    for (int64_t id = 0; fields >> id;) ids.push_back(id);
    if (!tokenizers.contains(name)) {
      tokenizers.emplace(name, Tokenizer::from_json(golden::read_gzip(name + ".json.gz"), name));
    }
    EXPECT_EQ(tokenizers.at(name).encode(corpus().at(index), true), ids) << name << " " << index;
  }
  EXPECT_GE(count, 3000u);
}

TEST(Golden, EveryComponentSplitsAsTokenizersDoes) {
  std::ifstream file(golden::data_path("variants.json"));
  const auto variants = nlohmann::ordered_json::parse(file);
  const auto base = nlohmann::ordered_json::parse(golden::read_gzip("variant_base.json.gz"));
  const std::string digests = golden::read_gzip("variants.crc.gz");
  size_t offset = 0;
  for (const auto& [name, sections] : variants.items()) {
    auto json = base;
    json.update(sections);
    expect_digests(Tokenizer::from_json(json.dump(), name), digests, offset, kVariantStep, name);
    offset += (corpus().size() + kVariantStep - 1) / kVariantStep * 4;
  }
  EXPECT_EQ(offset, digests.size());
}

TEST(Golden, BatchesGiveTheIdsOfSingleTexts) {
  const auto tokenizer = Tokenizer::from_json(golden::read_gzip("gpt2.json.gz"), "gpt2");
  const std::vector<std::string> texts(corpus().begin(), corpus().begin() + 2000);
  const auto batch = tokenizer.encode_batch(texts, true);
  ASSERT_EQ(batch.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i)
    EXPECT_EQ(batch[i], tokenizer.encode(texts[i], true)) << i;
}

}  // namespace
}  // namespace lathe::tokenizer
