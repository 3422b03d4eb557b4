#include "frontends/problem_list.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::frontends {

std::string problem_list(const std::vector<std::string>& problems) {
  constexpr size_t kMostShown = 50;
  const size_t shown = std::min(problems.size(), kMostShown);
  std::string list;
  for (size_t i = 0; i < shown; ++i) list += "\n  " + problems[i];
  if (shown < problems.size()) list += fmt::format("\n  and {} more", problems.size() - shown);
  return list;
}

}  // namespace lathe::frontends
