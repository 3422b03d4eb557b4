#include "export/modelopt/exclude_modules.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace lathe::exporting {
namespace {

/// Whether a name of the sorted list starts with `prefix`.
bool any_starts_with(const std::vector<std::string>& sorted, std::string_view prefix) {
  const auto next = std::ranges::lower_bound(
      sorted, prefix, {}, [](const std::string& name) { return std::string_view(name); });
  return next != sorted.end() && next->starts_with(prefix);
}

std::string pattern_for(const std::string& name, const std::vector<std::string>& quantized) {
  for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
    const std::string prefix = name.substr(0, dot);
    if (!any_starts_with(quantized, prefix)) return prefix + "*";
    const bool itself = std::ranges::binary_search(quantized, prefix);
    if (!itself && !any_starts_with(quantized, prefix + ".")) return prefix + ".*";
  }
  return name;
}

}  // namespace

std::vector<std::string> exclude_patterns(const std::vector<std::string>& unquantized,
                                          std::vector<std::string> quantized) {
  std::ranges::sort(quantized);
  std::set<std::string> patterns;
  for (const std::string& name : unquantized) patterns.insert(pattern_for(name, quantized));
  return {patterns.begin(), patterns.end()};
}

}  // namespace lathe::exporting
