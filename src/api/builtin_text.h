#pragma once

#include <string_view>

namespace lathe::api {

/// recipes/calibration/builtin.txt, built into the library.
std::string_view builtin_calibration_text();

}  // namespace lathe::api
