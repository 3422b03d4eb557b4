#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lathe/job.h"
#include "ops/expert_counts.h"

namespace lathe::api {

/// For as long as it lives, the blocks of experts below these modules take every token through
/// every expert; what they give stays the same.
class AllExperts {
 public:
  AllExperts(ir::Module& root, const std::vector<std::string>& modules);
  ~AllExperts();
  AllExperts(const AllExperts&) = delete;
  AllExperts& operator=(const AllExperts&) = delete;

 private:
  std::vector<std::pair<ir::Module*, ir::GraphPtr>> originals_;
};

/// How many tokens the routers below these modules sent to each expert.
std::vector<QuantizeReport::Experts> expert_table(const ir::Module& root,
                                                  const std::vector<std::string>& modules,
                                                  const ops::ExpertCounts& counts);

/// Warns of experts that saw no token, in a line a block.
void warn_unseen_experts(const std::vector<QuantizeReport::Experts>& table);

}  // namespace lathe::api
