#include "trace/unit_symbols.h"

#include <fmt/format.h>

#include <algorithm>

#include "trace/depth.h"
#include "trace/structure.h"

namespace lathe::trace {
namespace {

SymInfo norm_info(const ModuleView&) {
  SymInfo info;
  info.is_shape_preserving = true;
  return info.add("num_features", {.flow = Flow::kIncoming, .elastic_dims = {-1}});
}

SymInfo linear_info(const ModuleView&) {
  SymInfo info;
  info.add("in_features", {.flow = Flow::kIncoming, .elastic_dims = {-1}});
  return info.add("out_features",
                  {.searchable = true, .flow = Flow::kOutgoing, .elastic_dims = {-1}});
}

SymInfo embedding_info(const ModuleView&) {
  SymInfo info;
  return info.add("embedding_dim",
                  {.searchable = true, .flow = Flow::kOutgoing, .elastic_dims = {-1}});
}

/// Where a parameter's dimensions are, by atom.
std::unordered_map<AxisId, std::vector<SymbolUnits::Dimension>> tensors_by_atom(
    const ir::Module& model, const UnitResult& units) {
  std::unordered_map<AxisId, std::vector<SymbolUnits::Dimension>> tensors;
  std::unordered_set<const ir::Parameter*> seen;
  const auto add = [&](const std::string& path, const ir::ParameterPtr& parameter) {
    const auto axes = units.parameters.find(parameter.get());
    if (axes == units.parameters.end() || !seen.insert(parameter.get()).second) return;
    for (size_t dim = 0; dim < axes->second.size(); ++dim) {
      for (const AxisId atom : units.axes.atoms(axes->second[dim]))
        tensors[atom].push_back({path, static_cast<int64_t>(dim)});
    }
  };
  for (const auto& [path, module] : ir::named_modules(model)) {
    for (const auto& [name, parameter] : module->parameters)
      add(ir::join_path(path, name), parameter);
    for (const auto& [name, buffer] : module->buffers) add(ir::join_path(path, name), buffer);
  }
  return tensors;
}

/// Makes symbols of the sizes that rules noted: one for each atom that may change.
class SymbolMaker {
 public:
  SymbolMaker(const UnitResult& units, const ir::Module& model)
      : units_(units), tensors_(tensors_by_atom(model, units)) {
    for (const AxisId atom : units.statistics) statistics_.insert(units.axes.find(atom));
    for (const SymbolAxis& size : units.symbols) {
      if (!noted_.insert({size.module, size.name}).second) continue;
      sizes_.push_back(&size);
      for (const AxisId atom : free_atoms(size.axis)) {
        const SymbolAxis*& leader = leaders_[atom];
        if (leader == nullptr || (size.outgoing && !leader->outgoing)) leader = &size;
      }
    }
  }

  void fill(SymbolTable& table) {
    for (const SymbolAxis* size : sizes_) {
      for (const AxisId atom : free_atoms(size->axis)) {
        if (leaders_.at(atom) == size) symbols_[atom] = make_leader(*size, atom);
      }
    }
    for (SymbolTable::Entry& entry : table.entries()) {
      std::erase_if(entry.info.symbols,
                    [&](const auto& named) { return is_noted(entry, named.first); });
      for (const auto& [name, symbol] : entry.info.symbols) {
        if (symbol->is_cross_layer()) symbol->disable();
      }
    }
    for (const SymbolAxis* size : sizes_) {
      SymbolTable::Entry* entry = table.find(*size->module);
      if (entry != nullptr) add_symbols(*size, entry->info);
    }
  }

 private:
  bool is_noted(const SymbolTable::Entry& entry, const std::string& name) const {
    return noted_.contains({entry.module, name});
  }

  std::vector<AxisId> free_atoms(AxisId axis) const {
    std::vector<AxisId> atoms = units_.axes.atoms(axis);
    std::erase_if(atoms, [&](AxisId atom) { return units_.axes.is_fixed(atom); });
    return atoms;
  }

  Symbol::Options options(const SymbolAxis& size, bool searchable) const {
    const std::string_view type = size.module->type;
    const bool has_channels =
        size.name.ends_with("channels") ||
        (size.name == "num_features" && type != "LayerNorm" && type != "RMSNorm");
    return {.searchable = searchable,
            .flow = size.outgoing ? Flow::kOutgoing : Flow::kIncoming,
            .elastic_dims = {has_channels ? 1 : -1}};
  }

  std::shared_ptr<Symbol> make_leader(const SymbolAxis& size, AxisId atom) const {
    auto symbol = std::make_shared<Symbol>(options(size, true));
    auto units = std::make_shared<SymbolUnits>();
    units->count = units_.axes.size(atom);
    units->role = units_.axes.role(atom);
    const auto tensors = tensors_.find(atom);
    if (tensors != tensors_.end()) units->tensors = tensors->second;
    units->has_statistics = statistics_.contains(atom);
    symbol->set_units(std::move(units));
    return symbol;
  }

  /// "out_features", or "out_features.heads" and "out_features.head_dim" if it is made of these.
  void add_symbols(const SymbolAxis& size, SymInfo& info) const {
    const std::vector<AxisId> all = units_.axes.atoms(size.axis);
    const bool is_whole = all.size() == 1;
    bool any = false;
    for (size_t i = 0; i < all.size(); ++i) {
      if (units_.axes.is_fixed(all[i])) continue;
      any = true;
      const std::string part = is_whole ? "" : part_name(all, i);
      std::shared_ptr<Symbol> symbol = symbols_.at(all[i]);
      if (leaders_.at(all[i]) != &size) {
        symbol = std::make_shared<Symbol>(options(size, false));
        symbol->link_to(*symbols_.at(all[i]));
      }
      info.symbols.emplace_back(size.name + part, std::move(symbol));
    }
    if (any) return;
    auto constant = std::make_shared<Symbol>(options(size, false));
    constant->disable();
    info.symbols.emplace_back(size.name, std::move(constant));
  }

  std::string part_name(const std::vector<AxisId>& atoms, size_t index) const {
    const std::string& role = units_.axes.role(atoms[index]);
    const auto same = std::count_if(atoms.begin(), atoms.end(),
                                    [&](AxisId atom) { return units_.axes.role(atom) == role; });
    return role.empty() || same > 1 ? fmt::format("[{}]", index) : "." + role;
  }

  const UnitResult& units_;
  std::unordered_map<AxisId, std::vector<SymbolUnits::Dimension>> tensors_;
  std::set<AxisId> statistics_;
  std::set<std::pair<const ir::Module*, std::string>> noted_;
  std::vector<const SymbolAxis*> sizes_;  // each size of a module once
  std::unordered_map<AxisId, const SymbolAxis*> leaders_;
  std::unordered_map<AxisId, std::shared_ptr<Symbol>> symbols_;
};

/// Experts whose modules are not known cannot be taken away.
void fix_unknown_experts(const UnitFlow& flow, UnitResult& units) {
  std::set<AxisId> known;
  for (const ExpertUse& use : units.experts) known.insert(units.axes.find(use.axis));
  for (const auto& [id, axis] : flow.chosen_experts) {
    if (!known.contains(units.axes.find(axis)))
      units.axes.fix(axis, "the modules of its experts are not known");
  }
}

}  // namespace

SymRegistry rich_registry() {
  SymRegistry registry = SymRegistry::builtin();
  registry.add("RMSNorm", norm_info);
  registry.add("Embedding", embedding_info);
  registry.add("Conv1D", linear_info);
  registry.add("Float32Linear", linear_info);
  registry.add("QuantLinear", linear_info, false);
  return registry;
}

UnitAnalysis analyze_units(const ir::Module& model, const SymRegistry& registry,
                           const UnitFlow::Inputs& inputs) {
  UnitAnalysis result;
  SymbolTable table = SymbolTable::of(model, registry);
  const auto graphs =
      GraphCollection::recursive_trace(model, {.registry = &registry, .as_peer = false});
  for (const GraphCollection::Root& root : graphs.roots()) {
    const FlatGraph graph = graphs.flat_graph(root);
    UnitFlow flow(graph, registry, result.units);
    flow.run(root.module == &model ? inputs : UnitFlow::Inputs());
    fix_unknown_experts(flow, result.units);
  }
  for (const auto& [path, module] : ir::named_modules(model)) {
    if (!graphs.is_failed(*module) || graphs.is_unvisited(*module)) continue;
    result.analysis.warnings.push_back(
        fmt::format("{} is not understood, only its children are: {}",
                    path.empty() ? "the model" : path, graphs.failure_msg(*module)));
  }
  SymbolMaker(result.units, model).fill(table);
  find_skippable_blocks(model, graphs, table);
  result.analysis.symbols = std::move(table).to_sym_map();
  result.analysis.symbols.prune();
  return result;
}

}  // namespace lathe::trace
