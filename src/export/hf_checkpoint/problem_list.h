#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lathe::exporting {

/// Nothing if the list is empty; else a UserError: "WHAT: PROBLEM", or WHAT and the problems as a
/// list.
void throw_if_any(std::string_view what, const std::vector<std::string>& problems);

}  // namespace lathe::exporting
