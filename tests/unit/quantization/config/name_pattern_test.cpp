#include "quantization/config/name_pattern.h"

#include <gtest/gtest.h>

#include "io/json.h"

namespace lathe::quantization {
namespace {

TEST(NamePattern, MatchesAsPythonDoes) {
  const auto golden = io::read_json(LATHE_SOURCE_DIR "/tests/unit/quantization/config/golden.json");
  ASSERT_GE(golden["fnmatch"].size(), 400u);
  for (const auto& one : golden["fnmatch"]) {
    const auto pattern = one[0].get<std::string>();
    const auto name = one[1].get<std::string>();
    EXPECT_EQ(NamePattern(pattern).matches(name), one[2].get<bool>())
        << "pattern \"" << pattern << "\", name \"" << name << "\"";
  }
}

TEST(NamePattern, CaseMatters) {
  EXPECT_FALSE(NamePattern("*LM_HEAD*").matches("lm_head.weight_quantizer"));
}

TEST(NamePattern, ManyStarsAreNotExponential) {
  std::string pattern;
  for (int i = 0; i < 30; ++i) pattern += "*a";
  EXPECT_FALSE(NamePattern(pattern + "b").matches(std::string(3000, 'a')));
}

TEST(NamePattern, BytesThatAreNoUtf8AreCharacters) {
  EXPECT_TRUE(
      NamePattern("a?b").matches("a\xff"
                                 "b"));
  EXPECT_TRUE(NamePattern("?").matches("\xe2"));
  EXPECT_FALSE(NamePattern("?").matches("\xe2\x82"));
}

}  // namespace
}  // namespace lathe::quantization
