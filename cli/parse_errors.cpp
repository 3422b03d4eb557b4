#include "cli/parse_errors.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <string_view>
#include <vector>

namespace lathe::cli {
namespace {

/// Levenshtein's.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

/// "; did you mean --format?", or nothing if no known word is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const auto nearest =
      std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(word, a) < edit_distance(word, b);
      });
  if (nearest == known.end() || edit_distance(word, *nearest) > word.size() / 3) return {};
  return fmt::format("; did you mean {}?", *nearest);
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string describe_unknown_command(const CLI::App& program,
                                     const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands({})) names.push_back(command->get_name());
  const std::string known = fmt::format("{}", fmt::join(names, ", "));
  if (words.empty()) return "which command? " + known;
  const std::string_view kind = words.front().starts_with("-") ? "option" : "command";
  return fmt::format("there is no {} \"{}\"{}; commands: {}", kind, words.front(),
                     suggestion(words.front(), names), known);
}

std::string describe_extras(const CLI::App& command) {
  const auto words = command.remaining();
  const auto option = std::find_if(words.begin(), words.end(),
                                   [](const auto& word) { return word.starts_with("-"); });
  if (option == words.end()) {
    return words.empty() ? "too many arguments"
                         : fmt::format("unexpected argument \"{}\"", words.front());
  }
  const std::string name = option->substr(0, option->find('='));
  return fmt::format("unknown option {}{}", name, suggestion(name, option_names(command)));
}

}  // namespace

std::string describe_parse_error(const CLI::App& program, const CLI::ParseError& error) {
  const auto chosen = program.get_subcommands();
  if (chosen.empty()) return describe_unknown_command(program, program.remaining());
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    return describe_extras(*chosen.front());
  }
  return error.what();
}

}  // namespace lathe::cli
