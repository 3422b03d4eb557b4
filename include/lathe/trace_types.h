#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lathe/symbol.h"

namespace lathe {

/// Which of a symbol's states are wanted. If one is said to be true, only those that are; else all
/// but those that are said to be false.
struct SymbolFilter {
  std::optional<bool> free = {};
  std::optional<bool> dynamic = {};
  std::optional<bool> searchable = {};
  std::optional<bool> constant = {};
};

/// One searchable symbol and all that follow it.
struct SymbolGroup {
  std::string name;  // "layers.0.out_channels"
  const Symbol* symbol = nullptr;
  std::vector<std::string> links;  // sorted
};

/// The symbols of a model's modules, by path.
class SymMap {
 public:
  struct Entry {
    std::string path;
    std::string type;
    SymInfo info;
  };
  using NamedSymbol = std::pair<std::string, Symbol*>;

  /// Modules in breadth-first order.
  const std::vector<Entry>& modules() const { return entries_; }
  size_t size() const { return entries_.size(); }
  bool contains(std::string_view path) const { return find(path) != nullptr; }
  const Entry* find(std::string_view path) const;
  bool is_shape_preserving(std::string_view path) const;

  /// "conv1.out_channels" and its symbol, in order; of one module, the names without its path.
  std::vector<NamedSymbol> named_symbols(const SymbolFilter& filter = {}) const;
  std::vector<NamedSymbol> named_symbols(std::string_view path, const SymbolFilter& filter) const;
  /// UserError if there is no such module or symbol.
  Symbol& get_symbol(std::string_view path, std::string_view name) const;
  void set_symbol(std::string_view path, std::string_view name, std::shared_ptr<Symbol> symbol);

  /// UserError if the path is taken.
  void add(Entry entry);
  /// Removes a module and gives what it had; UserError if there is none.
  SymInfo pop(std::string_view path);
  /// Removes modules whose symbols are all constant.
  void prune();

  /// Searchable symbols and what follows them, sorted by name.
  std::vector<SymbolGroup> groups() const;

 private:
  void index_entries();

  std::vector<Entry> entries_;
  std::unordered_map<std::string, size_t> index_;
};

/// Linears and convolutions that read one value.
struct SharingGroup {
  std::string producer;  // the module whose value it is; "" for an operator's or an input
  std::string producer_type;
  bool alone = false;  // nothing else reads the value: scales can be moved into the producer
  std::vector<std::string> readers;
};

/// What can be made of the graph.
struct Opportunity {
  std::string kind;  // "conv-bn", "bn-relu", "norm-linear", "qkv", "gate-up", "quantize", ...
  std::vector<std::string> modules;
  std::vector<std::string> obstacles;  // what stands in the way
};

}  // namespace lathe
