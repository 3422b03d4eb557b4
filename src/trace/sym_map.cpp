#include <algorithm>

#include "base/error.h"
#include "ir/module.h"
#include "lathe/trace_types.h"

namespace lathe {
namespace {

/// A filter with all its answers given.
struct States {
  bool free, dynamic, searchable, constant;

  explicit States(const SymbolFilter& filter) {
    const bool any = filter.free == true || filter.dynamic == true || filter.searchable == true ||
                     filter.constant == true;
    free = filter.free.value_or(!any);
    dynamic = filter.dynamic.value_or(!any);
    searchable = filter.searchable.value_or(!any);
    constant = filter.constant.value_or(!any);
  }

  bool admit(const Symbol& symbol) const {
    return (free && symbol.is_free()) || (dynamic && symbol.is_dynamic()) ||
           (searchable && symbol.is_searchable()) || (constant && symbol.is_constant());
  }
};

void append_symbols(const SymMap::Entry& entry, std::string_view prefix, const SymbolFilter& filter,
                    std::vector<SymMap::NamedSymbol>& found) {
  const States states(filter);
  for (const auto& [name, symbol] : entry.info.symbols) {
    if (states.admit(*symbol)) found.emplace_back(ir::join_path(prefix, name), symbol.get());
  }
}

}  // namespace

const SymMap::Entry* SymMap::find(std::string_view path) const {
  const auto found = index_.find(std::string(path));
  return found == index_.end() ? nullptr : &entries_[found->second];
}

bool SymMap::is_shape_preserving(std::string_view path) const {
  const Entry* entry = find(path);
  return entry != nullptr && entry->info.is_shape_preserving;
}

std::vector<SymMap::NamedSymbol> SymMap::named_symbols(const SymbolFilter& filter) const {
  std::vector<NamedSymbol> found;
  for (const Entry& entry : entries_) append_symbols(entry, entry.path, filter, found);
  return found;
}

std::vector<SymMap::NamedSymbol> SymMap::named_symbols(std::string_view path,
                                                       const SymbolFilter& filter) const {
  std::vector<NamedSymbol> found;
  const Entry* entry = find(path);
  if (entry == nullptr) throw_user("no symbols are known of the module {}", path);
  append_symbols(*entry, "", filter, found);
  return found;
}

Symbol& SymMap::get_symbol(std::string_view path, std::string_view name) const {
  const Entry* entry = find(path);
  if (entry == nullptr) throw_user("no symbols are known of the module {}", path);
  Symbol* symbol = entry->info.find(name);
  if (symbol == nullptr) throw_user("the module {} has no symbol {}", path, name);
  return *symbol;
}

void SymMap::set_symbol(std::string_view path, std::string_view name,
                        std::shared_ptr<Symbol> symbol) {
  get_symbol(path, name);
  for (auto& [symbol_name, existing] : entries_[index_.at(std::string(path))].info.symbols) {
    if (symbol_name == name) existing = std::move(symbol);
    if (symbol_name == name) return;
  }
}

void SymMap::add(Entry entry) {
  if (!index_.emplace(entry.path, entries_.size()).second)
    throw_user("the symbols of the module {} are known already", entry.path);
  entries_.push_back(std::move(entry));
}

SymInfo SymMap::pop(std::string_view path) {
  const auto found = index_.find(std::string(path));
  if (found == index_.end()) throw_user("no symbols are known of the module {}", path);
  SymInfo info = std::move(entries_[found->second].info);
  entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(found->second));
  index_entries();
  return info;
}

void SymMap::prune() {
  // What follows a concatenation of constant parts is constant as well, and must not outlive it.
  for (const Entry& entry : entries_) {
    for (const auto& [name, symbol] : entry.info.symbols) {
      if (symbol->is_constant()) symbol->disable();
    }
  }
  std::erase_if(entries_, [](const Entry& entry) {
    return std::all_of(entry.info.symbols.begin(), entry.info.symbols.end(),
                       [](const auto& named) { return named.second->is_constant(); });
  });
  index_entries();
}

void SymMap::index_entries() {
  index_.clear();
  for (size_t i = 0; i < entries_.size(); ++i) index_.emplace(entries_[i].path, i);
}

std::vector<SymbolGroup> SymMap::groups() const {
  std::vector<SymbolGroup> groups;
  std::unordered_map<const Symbol*, size_t> index;
  const auto symbols = named_symbols();
  for (const auto& [name, symbol] : symbols) {
    if (!symbol->is_searchable()) continue;
    index.emplace(symbol, groups.size());
    groups.push_back({name, symbol, {}});
  }
  for (const auto& [name, symbol] : symbols) {
    if (!symbol->is_dynamic()) continue;
    const auto found = index.find(symbol->leader());
    if (found != index.end()) groups[found->second].links.push_back(name);
  }
  for (SymbolGroup& group : groups) std::sort(group.links.begin(), group.links.end());
  std::sort(groups.begin(), groups.end(),
            [](const SymbolGroup& a, const SymbolGroup& b) { return a.name < b.name; });
  return groups;
}

}  // namespace lathe
