#pragma once

#include <string>
#include <vector>

namespace lathe::exporting {

/// The patterns of exclude_modules, sorted: each unquantized path is covered by the shortest
/// "prefix*" or "prefix.*" at one of its dots that no quantized path matches, or by itself.
std::vector<std::string> exclude_patterns(const std::vector<std::string>& unquantized,
                                          std::vector<std::string> quantized);

}  // namespace lathe::exporting
