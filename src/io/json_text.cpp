#include "io/json_text.h"

#include <algorithm>

namespace lathe::io {
namespace {

constexpr size_t kMaxMessage = 300;

/// "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..." without its
/// first parts.
std::string_view strip_prefixes(std::string_view what) {
  if (what.starts_with('[')) {
    const size_t end = what.find("] ");
    if (end != std::string_view::npos) what.remove_prefix(end + 2);
  }
  if (what.starts_with("parse error at ")) {
    const size_t end = what.find(": ");
    if (end != std::string_view::npos) what.remove_prefix(end + 2);
  }
  return what.substr(0, kMaxMessage);
}

}  // namespace

std::string text_location(std::string_view text, std::string_view source_name, size_t position) {
  const std::string_view before = text.substr(0, std::min(position, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return fmt::format("{}:{}:{}", source_name, line, before.size() - line_start + 1);
}

void throw_json_error(std::string_view text, std::string_view source_name, size_t position,
                      std::string_view what) {
  const size_t from_zero = position == 0 ? 0 : position - 1;
  throw_data("{}: not valid JSON: {}", text_location(text, source_name, from_zero),
             strip_prefixes(what));
}

void check_no_nul(std::string_view text, std::string_view source_name) {
  const size_t nul = text.find('\0');
  if (nul == std::string_view::npos) return;
  throw_data("{}: not valid JSON: a NUL byte", text_location(text, source_name, nul));
}

}  // namespace lathe::io
