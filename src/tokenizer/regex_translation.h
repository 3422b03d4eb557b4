#pragma once

#include <string>
#include <string_view>

namespace lathe::tokenizer {

/// The PCRE2 pattern (UTF and UCP on, MULTILINE, newline LF) that matches what Oniguruma's Ruby
/// syntax matches. They differ in:
///   \s \w \d \b \p{..}   Unicode versions, and what counts as space and word
///   \h \v \uHHHH         a hex digit, a vertical tab, a code point
///   x{1,3}+ x{2}? x{,2}  (?:x{1,3})+, (?:x{2})?, x{0,2}
///   (?m) a(?i)b|c        dot matches newline; a(?i:b|c)
///   [a&&[^b]]            intersection of classes
/// DataError for what has no exact translation; the message shows it.
std::string translate_oniguruma(std::string_view pattern);

}  // namespace lathe::tokenizer
