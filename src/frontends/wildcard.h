#pragma once

#include <string_view>

namespace lathe::frontends {

/// Whether `text` is of the form of `pattern`, in which "*" stands for any characters.
bool matches_wildcard(std::string_view pattern, std::string_view text);

}  // namespace lathe::frontends
