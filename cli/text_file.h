#pragma once

#include <string>
#include <string_view>

namespace lathe::cli {

/// Writes a whole file: readers see all of it or nothing. UserError if it cannot be written.
void write_text_file(const std::string& path, std::string_view text);

/// UserError if `path` exists and `force` does not allow to replace it. `option` names it:
/// "--report".
void check_may_write(const std::string& path, bool force, std::string_view option);

}  // namespace lathe::cli
