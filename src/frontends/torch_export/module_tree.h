#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "frontends/torch_export/parameters.h"
#include "ir/module.h"

namespace lathe::frontends::torch_export {

/// Modules by their paths, in constant time while the tree grows.
class ModuleTree {
 public:
  explicit ModuleTree(std::string source_name);

  /// The module at `path`; made, with those above it, if it is not there. DataError for paths with
  /// empty parts, or too long or too many.
  const ir::ModulePtr& at(const std::string& path);
  void add_parameter(const Parameters::Entry& entry);

  /// Makes the module at `path` a child of the one at `owner` too, called `name`. False if the
  /// owner lies below it.
  bool add_alias(const std::string& owner, const std::string& name, const std::string& path);
  /// DataError if modules are shared so often that the tree has more than a million paths.
  void check_paths() const;

  /// Gives modules without a type one: ModuleList or Module.
  void name_types();
  /// Makes modules one that are the same under two names: their parameters are the same, and they
  /// do the same, or one of them is not among the paths that are called.
  void join_shared(const std::unordered_set<std::string>& called);

  const ir::ModulePtr& root() { return at(""); }

 private:
  std::string source_name_;
  std::unordered_map<std::string, ir::ModulePtr> modules_;
  std::vector<std::string> paths_;  // in order of making: parents first
};

/// "a.b" and "c" for "a.b.c"; "" and "a" for "a".
std::pair<std::string, std::string> split_path(const std::string& path);

/// Whether `path` is `prefix` or lies below it.
bool is_below(std::string_view path, std::string_view prefix);

/// The part of `path` that comes after `prefix`, which it lies below.
std::string relative_path(const std::string& path, const std::string& prefix);

}  // namespace lathe::frontends::torch_export
