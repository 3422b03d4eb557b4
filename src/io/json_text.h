#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace lathe::io {

/// "source_name:LINE:COLUMN", both from 1, of the byte at `position` (from 0).
std::string text_location(std::string_view text, std::string_view source_name, size_t position);

/// DataError for text in which JSON could not be parsed; `position` counts bytes from 1, as
/// nlohmann::json does, and `what` is its message.
[[noreturn]] void throw_json_error(std::string_view text, std::string_view source_name,
                                   size_t position, std::string_view what);

/// nlohmann::json takes a NUL byte for the end of the text: refuse it, or what follows would be
/// ignored.
void check_no_nul(std::string_view text, std::string_view source_name);

}  // namespace lathe::io
