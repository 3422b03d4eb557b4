#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace lathe::frontends {

// Where the modules and graphs that a .pt2 archive became lie in its program. Nodes of the program
// are named by the first value that they give.

/// What a node of the program is given as an argument.
struct ProgramRead {
  std::string node;
  std::string argument;  // "input", "mat1"
};

/// One call of a leaf.
struct LeafCall {
  std::vector<ProgramRead> reads;  // of the leaf's first argument, by the call's nodes
  std::string input;               // the value that is the first argument
  std::string node;                // that gives the leaf's first result
  std::optional<size_t> rank;      // of the leaf's first result
  bool is_one_node = true;         // false: several operators that were put together again
};

/// One call of a composite: the node of the program for each operator of the graph, by the name of
/// the graph's node.
using GraphCall = std::unordered_map<std::string, std::string>;

struct ProgramSites {
  /// The calls of each module, by its path, in the order of execution.
  std::unordered_map<std::string, std::vector<LeafCall>> leaves;
  std::unordered_map<std::string, std::vector<GraphCall>> graphs;
  /// Names of the parameters and buffers that a node reads or the program gives back: of two names
  /// for one tensor it may read one alone.
  std::unordered_set<std::string> read_tensors;
};

}  // namespace lathe::frontends
