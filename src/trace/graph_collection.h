#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ir/module.h"
#include "lathe/symbol.h"
#include "trace/flat_graph.h"

namespace lathe::trace {

/// How far a model is understood.
struct TraceOptions {
  /// Types that have a rule or are leaves by choice are not looked into.
  const SymRegistry* registry = nullptr;
  /// As the peer's tracer: LibTorch's closed types (LSTM, MultiheadAttention, ...) are leaves, and
  /// a module that drops what a child gave it fails, since code that is not in the graph decided by
  /// it.
  bool as_peer = false;
};

/// The graphs that describe a model: its own and, of modules that cannot be understood, those of
/// their children. A module that cannot be understood is a leaf in the graph that calls it.
class GraphCollection {
 public:
  struct Root {
    std::string path;
    const ir::Module* module;
  };

  static GraphCollection recursive_trace(const ir::Module& model, const TraceOptions& options);

  /// The modules that have a graph here, in the order in which they were traced.
  const std::vector<Root>& roots() const { return roots_; }
  bool is_failed(const ir::Module& module) const { return failures_.contains(&module); }
  /// Why a module failed; "" if it did not.
  std::string_view failure_msg(const ir::Module& module) const;
  /// Whether no graph calls the module.
  bool is_unvisited(const ir::Module& module) const { return !visited_.contains(&module); }
  bool is_leaf(const ir::Module& module) const;
  /// Joined with the graphs of all modules that are understood; empty if the root itself failed.
  FlatGraph flat_graph(const Root& root) const;

 private:
  explicit GraphCollection(const TraceOptions& options) : options_(options) {}
  void trace(const Root& root);
  void visit(const ir::Module& module, int depth);
  std::string find_failure(const ir::Module& module) const;
  bool is_plain_leaf(const ir::Module& module) const;

  TraceOptions options_;
  std::vector<Root> roots_;
  std::unordered_map<const ir::Module*, std::string> failures_;
  std::unordered_set<const ir::Module*> visited_;
  std::unordered_set<const ir::Module*> entered_;  // looked into already
};

}  // namespace lathe::trace
