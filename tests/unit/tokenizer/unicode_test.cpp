#include "tokenizer/unicode.h"

#include <gtest/gtest.h>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/json_number.h"

namespace lathe::tokenizer {
namespace {

constexpr const char* kFffd = "\xEF\xBF\xBD";

std::string repeated(const std::string& text, int count) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

TEST(Unicode, EveryCodePointSurvivesUtf8) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_code_point(text, c);
    ASSERT_TRUE(is_valid_utf8(text)) << static_cast<uint32_t>(c);
    ASSERT_EQ(utf8_length(static_cast<unsigned char>(text[0])), text.size());
    size_t position = 0;
    ASSERT_EQ(next_code_point(text, position), c);
    ASSERT_EQ(position, text.size());
  }
}

TEST(Unicode, BrokenSequencesBecomeOneReplacementForEachMaximalPart) {
  // Table 3-8 and following of the Unicode standard, and Python's errors="replace".
  EXPECT_EQ(replace_invalid_utf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), repeated(kFffd, 8) + "A");
  EXPECT_EQ(replace_invalid_utf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), repeated(kFffd, 8) + "A");
  EXPECT_EQ(replace_invalid_utf8("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"),
            repeated(kFffd, 5) + "A" + repeated(kFffd, 2) + "B");
  EXPECT_EQ(replace_invalid_utf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), repeated(kFffd, 4) + "A");
  EXPECT_EQ(replace_invalid_utf8("a\xF0\x9F\x98"), std::string("a") + kFffd);
  EXPECT_EQ(replace_invalid_utf8("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
}

TEST(Unicode, NormalForms) {
  EXPECT_EQ(normal_form("e\u0301", NormalForm::kNfc), "\u00e9");
  EXPECT_EQ(normal_form("\u00e9", NormalForm::kNfd), "e\u0301");
  EXPECT_EQ(normal_form("\ufb01\u2460", NormalForm::kNfkc), "fi1");
  EXPECT_EQ(normal_form("\uac00", NormalForm::kNfkd), "\u1100\u1161");
  EXPECT_EQ(normal_form(std::string_view("a\0b", 3), NormalForm::kNfc), std::string("a\0b", 3));
  EXPECT_EQ(normal_form("", NormalForm::kNfc), "");
  // Unicode 12's square ERA NAME REIWA is unknown to the normal forms of `tokenizers`.
  EXPECT_EQ(normal_form("\u32ff", NormalForm::kNfkc), "\u32ff");
}

TEST(Unicode, LowerCase) {
  const auto lower = [](char32_t c) {
    std::string text;
    append_lower_case(text, c);
    return text;
  };
  EXPECT_EQ(lower(U'A'), "a");
  EXPECT_EQ(lower(U'\u00C9'), "\u00e9");
  EXPECT_EQ(lower(U'\u0130'), "i\u0307");
  EXPECT_EQ(lower(U'\u03A3'), "\u03c3");
  EXPECT_EQ(lower(U'\u1C89'), "\u1c8a");  // Unicode 16
}

TEST(Unicode, GraphemeClusters) {
  std::vector<std::string> clusters;
  const std::string text = "e\u0301\r\n\U0001F468\u200D\U0001F469\U0001F1EB\U0001F1F7x";
  for_each_grapheme(
      text, [&](size_t begin, size_t end) { clusters.push_back(text.substr(begin, end - begin)); });
  EXPECT_EQ(clusters, (std::vector<std::string>{"e\u0301", "\r\n", "\U0001F468\u200D\U0001F469",
                                                "\U0001F1EB\U0001F1F7", "x"}));
}

TEST(ByteAlphabet, IsABijection) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    size_t position = 0;
    const char32_t c = next_code_point(byte_character(static_cast<unsigned char>(byte)), position);
    EXPECT_EQ(byte_of_character(c), static_cast<unsigned char>(byte));
  }
  EXPECT_EQ(byte_character(' '), "\u0120");
  EXPECT_FALSE(byte_of_character(U' '));
  EXPECT_FALSE(byte_of_character(U'\u0144'));
}

TEST(JsonNumber, RoundsAsSerdeDoes) {
  // The nearest doubles have the hexadecimal forms ...b and ...4; the digits as an integer over
  // 10^16 give others.
  EXPECT_EQ(parse_serde_float("-12.5"), -12.5);
  EXPECT_EQ(parse_serde_float("1e3"), 1000.0);
  EXPECT_EQ(parse_serde_float("0.1"), 0.1);
  EXPECT_EQ(parse_serde_float("-9.999999999999999e-05"), -(9999999999999999.0 / 1e20));
  EXPECT_EQ(parse_serde_float("123456789012345678901234.5"), 1.2345678901234567e19 * 1e4);
  EXPECT_EQ(parse_serde_float("0e400"), 0.0);
  EXPECT_EQ(parse_serde_float("1e-400"), 0.0);
  EXPECT_THROW(parse_serde_float("1e309"), std::exception);
}

}  // namespace
}  // namespace lathe::tokenizer
