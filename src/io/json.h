#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lathe::io {

/// What parse_json does with a key that an object has twice.
enum class DuplicateKeys { kError, kLastWins };

/// Nesting above this is a DataError.
inline constexpr int kMaxJsonDepth = 200;

/// Parses JSON as Python writes it: RFC 8259 and the numbers NaN, Infinity, -Infinity. DataError
/// "source_name:LINE:COLUMN: ..." if the text is malformed.
nlohmann::json parse_json(std::string_view text, std::string_view source_name,
                          DuplicateKeys duplicates = DuplicateKeys::kError);
/// The same, keeping the order of keys: for files that are written again.
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view source_name,
                                          DuplicateKeys duplicates = DuplicateKeys::kError);

/// Reads and parses a file; UserError if it cannot be read.
nlohmann::json read_json(const std::filesystem::path& path,
                         DuplicateKeys duplicates = DuplicateKeys::kError);
nlohmann::ordered_json read_ordered_json(const std::filesystem::path& path,
                                         DuplicateKeys duplicates = DuplicateKeys::kError);

/// The text of a value as Python's json.dumps(indent=...) writes it: UTF-8, non-finite numbers as
/// NaN, Infinity, -Infinity. indent -1: one line.
std::string dump_json(const nlohmann::json& value, int indent = 2);
std::string dump_json(const nlohmann::ordered_json& value, int indent = 2);

}  // namespace lathe::io
