#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace lathe::cli {

/// A count of at least 1.
CLI::Validator at_least_one();

/// "5GB", "500MB", "1GiB" or a plain number of bytes, as bytes.
CLI::Validator byte_size();

/// One of a few words.
CLI::Validator one_of(std::vector<std::string> words);

}  // namespace lathe::cli
