#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ir/module.h"
#include "lathe/trace_types.h"

namespace lathe::trace {

/// A SymMap while it is worked on: by module instead of path.
class SymbolTable {
 public:
  struct Entry {
    std::string path;
    const ir::Module* module;
    SymInfo info;
  };

  /// The modules of a model that have a rule, breadth first; leaves are not looked into. Modules of
  /// one type with the same parameters are one.
  static SymbolTable of(const ir::Module& model, const SymRegistry& registry);

  std::vector<Entry>& entries() { return entries_; }
  const std::vector<Entry>& entries() const { return entries_; }
  /// Null if the module has no symbols.
  Entry* find(const ir::Module& module);
  bool empty() const { return entries_.empty(); }

  SymMap to_sym_map() &&;

 private:
  std::vector<Entry> entries_;
  std::unordered_map<const ir::Module*, size_t> index_;
};

}  // namespace lathe::trace
