#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace lathe::io {

/// A plain (unquoted) scalar by the core schema of YAML 1.2 (section 10.3.2): null, true, false,
/// integers (decimal, 0o, 0x), floats (also .inf, .nan), else a string. An integer beyond 64 bits
/// becomes a float.
nlohmann::ordered_json plain_yaml_scalar(const std::string& text);

/// A scalar with an explicit tag, `name` being what follows "tag:yaml.org,2002:" (str, int, float,
/// bool, null). Nothing if the tag is unknown or the text does not fit it.
std::optional<nlohmann::ordered_json> tagged_yaml_scalar(std::string_view name,
                                                         const std::string& text);

}  // namespace lathe::io
