#pragma once

#include <string>
#include <vector>

namespace lathe::frontends {

/// The problems as lines "\n  PROBLEM"; beyond 50, their number.
std::string problem_list(const std::vector<std::string>& problems);

}  // namespace lathe::frontends
