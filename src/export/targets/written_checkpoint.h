#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "export/targets/target.h"

namespace lathe::exporting {

/// Reads a checkpoint of a dialect as its consumers do, and says what they would refuse: keys of
/// the JSON, names, dtypes and shapes of the tensors, scales that are not finite or not equal in
/// fused layers. Knows nothing of the plan that it was written by.
std::vector<std::string> written_problems(const std::filesystem::path& folder,
                                          std::string_view dialect, Target target);

/// DataError that lists them, if there are any.
void check_written(const std::filesystem::path& folder, std::string_view dialect, Target target);

}  // namespace lathe::exporting
