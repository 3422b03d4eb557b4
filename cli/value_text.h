#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace lathe::cli {

/// "1.23 GB", "456 MB", "12 kB": decimal units, three digits.
std::string bytes_text(double bytes);

/// "134.5 million".
std::string count_text(int64_t count);

/// "3.2 s", "2 min 05 s", "1 h 02 min".
std::string duration_text(double seconds);

/// "9.459 +/- 0.131": as many decimals as the error's three leading digits need.
std::string measured_text(double value, double error);

/// "49152 x 576"; "scalar" for no dimensions.
std::string shape_text(std::span<const int64_t> shape);

}  // namespace lathe::cli
