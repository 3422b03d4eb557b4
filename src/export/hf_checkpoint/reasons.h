#pragma once

#include <string>
#include <unordered_map>
#include <vector>

namespace lathe::exporting {

/// Problems of many layers that share their reasons: "PATH: WHY", or "PATH and 13 more: WHY".
class ProblemsByReason {
 public:
  void add(const std::string& path, std::string reason);
  bool empty() const { return reasons_.empty(); }
  void append_to(std::vector<std::string>& problems) const;

 private:
  struct Reason {
    std::string text;
    std::string first;
    size_t count;
  };
  std::unordered_map<std::string, size_t> index_;
  std::vector<Reason> reasons_;
};

}  // namespace lathe::exporting
