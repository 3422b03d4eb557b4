#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tokenizer/regex_sets.h"

namespace lathe::tokenizer {

/// Reads the class whose '[' is at pattern[position] and moves position behind its ']'. The result
/// is an atom.
std::string translate_class(std::string_view pattern, size_t& position);

/// Reads the set \s, \P{L}, ... at pattern[position] == '\\' and moves position behind it; nothing,
/// and no move, if there is another escape.
std::optional<RegexSet> read_set(std::string_view pattern, size_t& position);

/// Reads the escape for one character at pattern[position] == '\\' (\n, \x41, \u0041, \., ...) and
/// moves position behind it. DataError for letters that have no meaning here.
std::string translate_character_escape(std::string_view pattern, size_t& position);

}  // namespace lathe::tokenizer
