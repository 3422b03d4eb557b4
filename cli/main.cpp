#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "cli/commands.h"
#include "cli/freed_memory.h"
#include "cli/interrupt.h"
#include "cli/parse_errors.h"
#include "lathe/error.h"
#include "lathe/session.h"

namespace lathe::cli {
namespace {

enum ExitCode { kSuccess = 0, kUserError = 2, kDataError = 3, kInternalError = 70 };

constexpr size_t kHelpColumn = 34;

void add_commands(CLI::App& program) {
  program.set_version_flag("--version", std::string("lathe ") + version(),
                           "Print the version and stop");
  program.require_subcommand(1);
  program.get_formatter()->column_width(kHelpColumn);
  add_quantize(program);
  add_plan(program);
  add_eval(program);
  add_run(program);
  add_inspect(program);
  add_trace(program);
  program.footer(
      "`lathe COMMAND --help` explains each, with examples.\n"
      "Exit codes: 0 success; 2 wrong options or a request that cannot be met; 3 bad data in a "
      "file; 70 a bug in "
      "Lathe; 130 interrupted.");
}

void print_error(const std::string& message) { fmt::print(stderr, "error: {}\n", message); }

/// Help and version are "errors" of the parser too.
int end_parsing(const CLI::App& program, const CLI::ParseError& error) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success))
    return program.exit(error);
  print_error(describe_parse_error(program, error));
  const auto chosen = program.get_subcommands();
  const std::string command = chosen.empty() ? "" : chosen.front()->get_name() + " ";
  fmt::print(stderr, "`lathe {}--help` lists the options\n", command);
  return kUserError;
}

int end_with(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kUser:
      print_error(error.what());
      return kUserError;
    case ErrorKind::kData:
      print_error(error.what());
      return kDataError;
    case ErrorKind::kInternal:
      break;
  }
  print_error(fmt::format("{}\nThis is a bug in Lathe {}. Please report it with the command line.",
                          error.what(), version()));
  return kInternalError;
}

int run_program(int argc, char** argv) {
  CLI::App program("Lathe makes trained models smaller and faster, and measures what that costs.",
                   "lathe");
  add_commands(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return end_parsing(program, error);
  } catch (const Error& error) {
    return end_with(error);
  } catch (const std::bad_alloc&) {
    return end_with(UserError("out of memory"));
  } catch (const std::exception& error) {
    return end_with(InternalError(error.what()));
  }
  return kSuccess;
}

}  // namespace
}  // namespace lathe::cli

int main(int argc, char** argv) {
  lathe::cli::return_freed_memory();
  lathe::cli::install_interrupt_handler();
  const int code = lathe::cli::run_program(argc, argv);
  if (std::fflush(stdout) == 0) return code;
  std::perror("error: cannot write to standard output");
  return code == 0 ? 2 : code;
}
