#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace lathe::io {

/// Parses one YAML 1.2 document (core schema: null, bool, int, float as plain scalars; quoted
/// scalars are strings; also 1e-3 and the like are floats). Keys are scalars, taken as text.
/// Anchors and aliases are expanded up to a limit. DataError "source_name:LINE:COLUMN: ..." for
/// malformed text, a key given twice, merge keys (<<), unknown tags, more than one document,
/// nesting above 100 or an expansion above the limit. An empty text is null.
nlohmann::ordered_json parse_yaml(std::string_view text, std::string_view source_name);

/// Reads and parses a file; UserError if it cannot be read.
nlohmann::ordered_json read_yaml(const std::filesystem::path& path);

}  // namespace lathe::io
