#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lathe/model.h"
#include "lathe/trace_types.h"

namespace lathe {

enum class TraceRules {
  /// Lathe's own: every axis of every tensor is followed.
  kLathe,
  /// Those of nvidia-modelopt, for comparison: one dimension of each value, no attention.
  kModelopt,
};

struct AnalyzeOptions {
  TraceRules rules = TraceRules::kLathe;
  /// UserError for symbols that are linked to nothing (kModelopt); without it they become constant.
  bool strict = true;
  /// Types of modules and their symbols; null for the built-in ones.
  const SymRegistry* registry = nullptr;
};

/// The symbols of a model, linked. `warnings` gets what could not be understood.
SymMap analyze_symbols(const Model& model, const AnalyzeOptions& options = {},
                       std::vector<std::string>* warnings = nullptr);

/// The graphs that describe a model: its own and, of modules that cannot be understood, those of
/// their children. Modules are named by their paths.
class GraphCollection {
 public:
  /// Paths of the modules that have a graph here, the model's ("") first.
  const std::vector<std::string>& modules() const;
  auto begin() const { return modules().begin(); }
  auto end() const { return modules().end(); }

  /// The graph of a module, in text form; UserError if there is none.
  std::string operator[](std::string_view path) const;
  /// Operators that a module runs, those of the modules that it calls included.
  int64_t num_operations(std::string_view path) const;
  bool is_failed(std::string_view path) const { return !failure_msg(path).empty(); }
  /// Why a module cannot be understood; "" if it can.
  std::string failure_msg(std::string_view path) const;
  /// Whether no graph calls the module.
  bool is_unvisited(std::string_view path) const;

  struct Impl;
  explicit GraphCollection(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

GraphCollection recursive_trace(const Model& model);

/// A module of a trace.
struct TracedModule {
  std::string path;
  std::string type;
  int64_t operations = 0;  // operators of its own graph and of those below it that it calls
  struct Tensor {
    std::string name;  // "weight"
    std::vector<int64_t> shape;
    std::string dtype;
  };
  std::vector<Tensor> tensors;
  std::string failure;  // "" if it is understood
  bool is_called = true;
};

/// Everything that `lathe trace` shows.
struct Trace {
  std::vector<TracedModule> modules;  // parents first
  SymMap symbols;
  std::vector<SharingGroup> sharing;
  std::vector<Opportunity> opportunities;
  std::vector<std::string> warnings;
  int64_t operations = 0;
};
Trace trace_model(const Model& model, const AnalyzeOptions& options = {});

/// A node of a module's graph, for drawings.
struct GraphNode {
  std::string name;
  std::string kind;    // "input", "parameter", "operator", "module", "output"
  std::string target;  // operator, or path below the module
  std::vector<std::string> inputs;
};
/// UserError if there is no such module; empty if it has no graph.
std::vector<GraphNode> graph_nodes(const Model& model, std::string_view path);

}  // namespace lathe
