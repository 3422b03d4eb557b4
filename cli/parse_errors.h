#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace lathe::cli {

/// What is wrong with the command line, in one line: names the option, and the one that may have
/// been meant.
std::string describe_parse_error(const CLI::App& program, const CLI::ParseError& error);

}  // namespace lathe::cli
