#include <gtest/gtest.h>

#include <random>

#include "ir/text.h"
#include "lathe/error.h"
#include "random_module.h"

namespace lathe::ir {
namespace {

/// One to four edits of the text: a byte changed, a stretch removed, repeated, or put elsewhere.
std::string mutate(std::string text, std::mt19937& random) {
  const std::string_view alphabet = " \n\"%@&#[]{}()=,:.-0189aexNT\\\x80";
  for (uint32_t edits = 1 + random() % 4; edits > 0 && !text.empty(); --edits) {
    const size_t at = random() % text.size();
    const size_t length = std::min<size_t>(1 + random() % 24, text.size() - at);
    switch (random() % 4) {
      case 0:
        text[at] = alphabet[random() % alphabet.size()];
        break;
      case 1:
        text.erase(at, length);
        break;
      case 2:
        text.insert(at, text.substr(at, length));
        break;
      default:
        text.insert(random() % text.size(), text.substr(at, length));
    }
  }
  return text;
}

/// A text that is a little wrong is read, and then prints what reads back, or it is a DataError.
TEST(Mutation, ReadsOrRefuses) {
  std::mt19937 random(1);
  int read = 0, refused = 0;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    const std::string valid = print(*random_module(seed));
    for (int i = 0; i < 100; ++i) {
      const std::string text = mutate(valid, random);
      try {
        const std::string again = print(*parse_module(text));
        ASSERT_EQ(print(*parse_module(again)), again) << text;
        ++read;
      } catch (const DataError& error) {
        ASSERT_EQ(std::string(error.what()).substr(0, 5), "line ");
        ++refused;
      }
    }
  }
  EXPECT_GT(read, 300);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace lathe::ir
