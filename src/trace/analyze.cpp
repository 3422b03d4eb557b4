#include "trace/analyze.h"

#include <fmt/ranges.h>

#include "base/error.h"
#include "trace/dependency_rules.h"
#include "trace/depth.h"

namespace lathe::trace {
namespace {

std::string name_of(const std::string& path) { return path.empty() ? "the model" : path; }

/// Symbols between layers that no rule linked. Of a module that nothing calls they become constant.
class DanglingSymbols {
 public:
  DanglingSymbols(const GraphCollection& graphs, SymbolTable& table) {
    for (SymbolTable::Entry& entry : table.entries()) {
      if (!has_dangling(entry)) continue;
      (graphs.is_unvisited(*entry.module) ? unvisited_ : visited_).push_back(&entry);
    }
  }

  void disable(bool strict, std::vector<std::string>& warnings) {
    for (SymbolTable::Entry* entry : unvisited_) disable_cross_layer(*entry);
    if (!unvisited_.empty()) {
      warnings.push_back(fmt::format("nothing calls {}: their sizes between layers are fixed",
                                     fmt::join(paths(unvisited_), ", ")));
    }
    if (visited_.empty()) return;
    const std::string problem =
        fmt::format("symbols of {} are linked to nothing", fmt::join(paths(visited_), ", "));
    if (strict) throw_user("{}", problem);
    for (SymbolTable::Entry* entry : visited_) disable_cross_layer(*entry);
    warnings.push_back(problem + " and become constant");
  }

 private:
  static bool has_dangling(const SymbolTable::Entry& entry) {
    for (const auto& [name, symbol] : entry.info.symbols) {
      if (symbol->is_dangling()) return true;
    }
    return false;
  }

  static void disable_cross_layer(SymbolTable::Entry& entry) {
    for (const auto& [name, symbol] : entry.info.symbols) {
      if (symbol->is_cross_layer()) symbol->disable();
    }
  }

  static std::vector<std::string> paths(const std::vector<SymbolTable::Entry*>& entries) {
    std::vector<std::string> paths;
    for (const SymbolTable::Entry* entry : entries) paths.push_back(name_of(entry->path));
    return paths;
  }

  std::vector<SymbolTable::Entry*> unvisited_;
  std::vector<SymbolTable::Entry*> visited_;
};

void warn_of_failures(const ir::Module& model, const GraphCollection& graphs,
                      std::vector<std::string>& warnings) {
  for (const auto& [path, module] : ir::named_modules(model)) {
    if (!graphs.is_failed(*module) || graphs.is_unvisited(*module)) continue;
    warnings.push_back(fmt::format("{} is not understood, only its children are: {}", name_of(path),
                                   graphs.failure_msg(*module)));
  }
}

}  // namespace

Analysis analyze_as_modelopt(const ir::Module& model, const SymRegistry& registry, bool strict) {
  Analysis analysis;
  SymbolTable table = SymbolTable::of(model, registry);
  if (table.empty()) return analysis;
  const auto graphs =
      GraphCollection::recursive_trace(model, {.registry = &registry, .as_peer = true});
  for (const GraphCollection::Root& root : graphs.roots())
    apply_dependency_rules(graphs.flat_graph(root), *root.module, graphs, table);
  warn_of_failures(model, graphs, analysis.warnings);
  DanglingSymbols(graphs, table).disable(strict, analysis.warnings);
  find_skippable_blocks(model, graphs, table);
  analysis.symbols = std::move(table).to_sym_map();
  analysis.symbols.prune();
  return analysis;
}

}  // namespace lathe::trace
