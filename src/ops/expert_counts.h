#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "ir/module.h"
#include "ops/leaf_table.h"

namespace lathe::ops {

/// How many tokens each expert saw: counted at the routers (TopKRouter) while a model runs.
class ExpertCounts {
 public:
  /// Makes the routers of `table` count here; the table may outlive this. Of one thread.
  void watch(LeafTable& table);

  /// The tokens by expert that this router has sent since it was watched; empty if it never ran. A
  /// token that is sent to k experts counts k times.
  const std::vector<int64_t>& of(const ir::Module& router) const;

 private:
  using Counts = std::unordered_map<const ir::Module*, std::vector<int64_t>>;
  std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
};

}  // namespace lathe::ops
