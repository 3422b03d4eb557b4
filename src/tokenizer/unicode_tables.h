#pragma once

#include <cstdint>
#include <span>

namespace lathe::tokenizer {

struct CodePointRange {
  char32_t first;
  char32_t last;
};

struct LowerCaseRange {
  char32_t first;
  char32_t last;
  int32_t delta;
};

struct CategoryRange {
  char32_t first;
  char32_t last;
  const char* category;  // "Lu", "Mn", ...
};

/// Sorted, disjoint ranges, as the `tokenizers` package has them; see make_unicode_tables.py.
std::span<const CodePointRange> word_ranges();          // \w of its regular expressions
std::span<const CodePointRange> numeric_ranges();       // Digits
std::span<const CodePointRange> punctuation_ranges();   // Punctuation, BertPreTokenizer
std::span<const CodePointRange> bert_control_ranges();  // removed by BertNormalizer.clean_text
std::span<const CodePointRange>
nonspacing_mark_ranges();                                 // removed by BertNormalizer.strip_accents
std::span<const CodePointRange> combining_mark_ranges();  // removed by StripAccents

/// Code points that its normal forms pass through and utf8proc's do not.
std::span<const CodePointRange> no_normal_form_ranges();
/// Lower case where utf8proc has another.
std::span<const LowerCaseRange> lower_case_ranges();
/// General categories of code points for which PCRE2 has another; sorted by category.
std::span<const CategoryRange> category_additions();

}  // namespace lathe::tokenizer
