#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lathe::tokenizer {

/// GPT-2's printable alphabet for bytes: a byte that is printable in Latin-1 stands for itself, the
/// others for U+0100 and up.

/// The UTF-8 text (two bytes at most) of the character for a byte.
std::string_view byte_character(unsigned char byte);

/// Appends the characters of all bytes.
void append_byte_characters(std::string& result, std::string_view bytes);

/// The byte for a character of the alphabet.
std::optional<unsigned char> byte_of_character(char32_t c);

}  // namespace lathe::tokenizer
