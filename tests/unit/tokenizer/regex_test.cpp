#include "tokenizer/regex.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tokenizer/regex_translation.h"

namespace lathe::tokenizer {
namespace {

/// The matches in brackets: "[ab]c[ab]".
std::string marked(const std::string& pattern, const std::string& text) {
  std::vector<Segment> segments;
  Regex(pattern).find_segments(text, segments);
  std::string result;
  for (const Segment& s : segments) {
    const std::string part = text.substr(s.begin, s.end - s.begin);
    result += s.is_match ? "[" + part + "]" : part;
  }
  return result;
}

TEST(Regex, FindsLeftmostMatches) {
  EXPECT_EQ(marked("b+", "abbcb"), "a[bb]c[b]");
  EXPECT_EQ(marked("x", "abc"), "abc");
  EXPECT_EQ(marked("x", ""), "");
}

TEST(Regex, EmptyMatchesDoNotTouchTheOneBefore) {
  EXPECT_EQ(marked("", "ab"), "[]a[]b[]");
  EXPECT_EQ(marked("b*", "abba"), "[]a[bb]a[]");
  EXPECT_EQ(marked("", "\u00e9"), "[]\u00e9[]");
}

TEST(Regex, BracesFollowRuby) {
  EXPECT_EQ(marked("a{1,2}+", "aaaaa"), "[aaaaa]");   // (?:a{1,2})+
  EXPECT_EQ(marked("a{2}?b", "aab b"), "[aab] [b]");  // (?:a{2})?
  EXPECT_EQ(marked("a{,2}b", "aaab"), "a[aab]");
  EXPECT_EQ(marked("a{2,}?", "aaaa"), "[aa][aa]");
  EXPECT_EQ(marked("a{x}", "a{x}"), "[a{x}]");
  EXPECT_EQ(marked("(?:ab|c){2}+", "abcabc"), "[abcabc]");
  EXPECT_EQ(marked("a++ab", "aaab"), "aaab");
}

TEST(Regex, OptionsReachToTheEndOfTheirGroup) {
  EXPECT_EQ(marked("a(?i)b|c", "aB aC c"), "[aB] [aC] c");  // a(?i:b|c)
  EXPECT_EQ(marked("(a(?i)b)|C", "aB c C"), "[aB] c [C]");
  EXPECT_EQ(marked("(?m:a.b)", "a\nb"), "[a\nb]");
  EXPECT_EQ(marked("a.b", "a\nb a\rb"), "a\nb [a\rb]");
  EXPECT_EQ(marked("(?i:'S)", "'s '\u017f"), "['s] ['\u017f]");
}

TEST(Regex, SpacesAndWordsAreUnicodes) {
  EXPECT_EQ(marked("\\s", "a\u180e\u3000\u0085"), "a\u180e[\u3000][\u0085]");
  EXPECT_EQ(marked("[^\\s]+", "a\u180e \u200b"), "[a\u180e] [\u200b]");
  EXPECT_EQ(marked("\\v|\\h", "\n\x0b z a"), "\n[\x0b] z [a]");
  EXPECT_EQ(marked("\\bx\\b", "x \u0301x x\u00b2"), "[x] \u0301x x\u00b2");
  EXPECT_EQ(marked("\\d+", "12\u0664\u00b2"), "[12\u0664]\u00b2");
}

TEST(Regex, PropertiesKnowUnicode16) {
  const std::string letter = "\U00031350", number = "\U00010D40";  // Unicode 15 and 16
  EXPECT_EQ(marked("\\p{L}+", letter + number), "[" + letter + "]" + number);
  EXPECT_EQ(marked("\\P{L}", letter + number), letter + "[" + number + "]");
  EXPECT_EQ(marked("[^\\p{L}]", letter + "."), letter + "[.]");
  EXPECT_EQ(marked("[^\\P{L}]", letter + "."), "[" + letter + "].");
  EXPECT_EQ(marked("[\\P{L}a]", letter + ".ab"), letter + "[.][a]b");
  EXPECT_EQ(marked("\\p{^Lu}|\\p{Decimal_Number}", "Aa"), "A[a]");
}

TEST(Regex, ClassesIntersect) {
  EXPECT_EQ(marked("[a-z&&[^aeiou]]+", "hello"), "[h]e[ll]o");
  EXPECT_EQ(marked("[^a-z&&[^aeiou]]+", "hello1"), "h[e]ll[o1]");
  EXPECT_EQ(marked("[\\p{L}&&\\p{Han}]", "a\u4e2d"), "a[\u4e2d]");
  EXPECT_EQ(marked("[\\s-]", "a-b c"), "a[-]b[ ]c");
  EXPECT_EQ(marked("[]a]", "]a"), "[]][a]");
  EXPECT_EQ(marked("[[:space:]x]", " xy"), "[ ][x]y");
}

TEST(Regex, UnknownSyntaxIsNamed) {
  for (const char* pattern :
       {"(",      ")",           "[",       "a[]",     "*a",         "\\",       "\\p{Nonsense}",
        "\\pL",   "\\y",         "(*FAIL)", "(?~a)",   "(?x)a",      "[a[bc]d]", "[a-\\s]",
        "a{3,2}", "\\x{110000}", "\\u12",   "[:alpha", "(?<name>a)", "a{99999}", "[\\d-"}) {
    try {
      Regex regex(pattern);
      ADD_FAILURE() << pattern;
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find("regular expression"), std::string::npos)
          << error.what();
    }
  }
}

TEST(Regex, CatastrophicBacktrackingIsAnError) {
  const Regex regex("(?:a+)+$");
  std::vector<Segment> segments;
  EXPECT_THROW(regex.find_segments(std::string(40, 'a') + "b", segments), DataError);
}

TEST(Regex, LongRunsAreNoError) {
  const std::string spaces(3'000'000, ' ');
  std::vector<Segment> segments;
  Regex("\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+").find_segments(spaces + "x", segments);
  ASSERT_EQ(segments.size(), 3u);
  EXPECT_EQ(segments[0].end, spaces.size() - 1);
}

TEST(Regex, HugePatternsAreErrors) {
  EXPECT_THROW(Regex(std::string(100'000, 'a')), DataError);
  EXPECT_THROW(Regex(std::string(8'000, '(') + std::string(8'000, ')')), DataError);
  EXPECT_THROW(Regex("((((a{1000}){1000}){1000}){1000})"), DataError);
}

}  // namespace
}  // namespace lathe::tokenizer
