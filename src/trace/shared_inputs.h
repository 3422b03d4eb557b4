#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/module.h"

namespace lathe::trace {

/// Modules that read one and the same value as their first argument.
struct SharedInput {
  std::string producer;  // path of the module whose value it is; "" for an operator's or an input
  std::vector<std::string> readers;  // paths, in the order of execution
  bool alone = false;                // nothing else reads the value
};

/// Groups the modules for which `wanted` is true by the value that they read, following values into
/// and out of composites. Readers of a value that no other reads are groups of one. Every wanted
/// module that is called comes in exactly one group; one that is called several times in that of
/// its first call.
std::vector<SharedInput> shared_inputs(const ir::Module& root,
                                       const std::function<bool(const ir::Module&)>& wanted);

/// The path, relative to `module`, of the wanted module from whose value `node` (of its graph) is
/// computed by operators that look at one tensor at a time (views, norms of a head, rotary
/// embedding, ...): the first tensor argument is followed, through modules that are not `wanted`;
/// of parts that are put together all must come from one. "" if there is none.
std::string producer_of(const ir::Module& module, const ir::Node& node,
                        const std::function<bool(const ir::Module&)>& wanted);

}  // namespace lathe::trace
