#include "trace/symbol_table.h"

#include <map>
#include <unordered_set>

#include "trace/structure.h"

namespace lathe::trace {
namespace {

/// The parameters of a module, which say that two modules of one type are the same one at two
/// paths.
std::vector<const ir::Parameter*> identity(const ir::Module& module) {
  std::vector<const ir::Parameter*> parameters;
  for (const auto& [name, parameter] : module.parameters) parameters.push_back(parameter.get());
  return parameters;
}

}  // namespace

SymbolTable SymbolTable::of(const ir::Module& model, const SymRegistry& registry) {
  SymbolTable table;
  std::vector<std::pair<std::string, const ir::Module*>> queue = {{"", &model}};
  std::unordered_set<const ir::Module*> queued = {&model};
  std::map<std::pair<std::string_view, std::vector<const ir::Parameter*>>, size_t> known;
  for (size_t next = 0; next < queue.size(); ++next) {
    const auto [path, module] = queue[next];
    const std::string_view type = symbolic_type(*module, registry);
    if (const SymRegistry::Rule* rule = type.empty() ? nullptr : registry.find(type)) {
      const size_t next_entry = table.entries_.size();
      const auto parameters = identity(*module);
      const size_t entry = parameters.empty()
                               ? next_entry
                               : known.try_emplace({type, parameters}, next_entry).first->second;
      table.index_.emplace(module, entry);
      if (entry == next_entry)
        table.entries_.push_back({path, module, (*rule)(ModuleView(*module))});
    }
    if (registry.is_leaf(module->type) || (!type.empty() && registry.is_leaf(type))) continue;
    for (const auto& [name, child] : module->children) {
      if (queued.insert(child.get()).second)
        queue.emplace_back(ir::join_path(path, name), child.get());
    }
  }
  return table;
}

SymbolTable::Entry* SymbolTable::find(const ir::Module& module) {
  const auto found = index_.find(&module);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

SymMap SymbolTable::to_sym_map() && {
  SymMap map;
  for (Entry& entry : entries_) map.add({entry.path, entry.module->type, std::move(entry.info)});
  return map;
}

}  // namespace lathe::trace
