#pragma once

#include <string>
#include <string_view>

namespace lathe::cli {

/// Text as HTML: & < > " and ' escaped.
std::string html_escape(std::string_view text);

/// `body` as a whole page that needs no other file, for light and dark screens. `title` is text.
std::string html_page(std::string_view title, std::string_view body);

}  // namespace lathe::cli
