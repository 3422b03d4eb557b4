#include "export/hf_checkpoint/reasons.h"

#include "base/error.h"

namespace lathe::exporting {

void ProblemsByReason::add(const std::string& path, std::string reason) {
  const auto [place, added] = index_.emplace(std::move(reason), reasons_.size());
  if (added) reasons_.push_back({place->first, path, 0});
  ++reasons_[place->second].count;
}

void ProblemsByReason::append_to(std::vector<std::string>& problems) const {
  for (const Reason& reason : reasons_) {
    const std::string more =
        reason.count > 1 ? fmt::format(" and {} more", reason.count - 1) : std::string();
    problems.push_back(fmt::format("{}{}: {}", reason.first, more, reason.text));
  }
}

}  // namespace lathe::exporting
