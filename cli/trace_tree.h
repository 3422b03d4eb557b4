#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lathe/trace.h"

namespace lathe::cli {

/// The modules of a trace as a tree in which equal neighbours are one: "layers.0" to "layers.29".
struct TraceTree {
  const TracedModule* module = nullptr;
  std::string name;       // "self_attn"; of several: "[0-29]"
  std::string path;       // of the first
  size_t count = 1;       // modules that it stands for
  std::string signature;  // the same for equal subtrees
  std::vector<TraceTree> children;
};

TraceTree make_trace_tree(const Trace& trace);

/// "Linear, weight 576 x 576 bf16"
std::string tensors_text(const TracedModule& module);

}  // namespace lathe::cli
