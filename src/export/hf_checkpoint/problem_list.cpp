#include "export/hf_checkpoint/problem_list.h"

#include "base/error.h"

namespace lathe::exporting {

void throw_if_any(std::string_view what, const std::vector<std::string>& problems) {
  if (problems.empty()) return;
  if (problems.size() == 1) throw_user("{}: {}", what, problems.front());
  std::string text = fmt::format("{}: {} problems", what, problems.size());
  for (const std::string& problem : problems) text += "\n  - " + problem;
  throw UserError(std::move(text));
}

}  // namespace lathe::exporting
