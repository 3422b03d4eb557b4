#include "unit/trace/nets.h"

#include <fmt/ranges.h>

namespace lathe::trace {

std::string symbols_text(const SymMap& map) {
  std::string text;
  for (const SymbolGroup& group : map.groups()) {
    if (group.name.ends_with("kernel_size")) continue;
    text += group.name;
    if (!group.symbol->is_sortable()) text += "!";
    if (const auto* depth = dynamic_cast<const SymDepth*>(group.symbol)) {
      text += fmt::format(" [{}]", fmt::join(depth->skippable(), ", "));
    } else if (!group.links.empty()) {
      text += fmt::format(": {}", fmt::join(group.links, " "));
    }
    text += "\n";
  }
  return text;
}

}  // namespace lathe::trace
