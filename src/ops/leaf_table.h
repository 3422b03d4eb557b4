#pragma once

#include <ATen/core/ivalue.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ir/module.h"

namespace lathe::ops {

/// Runs a leaf module on its arguments.
using LeafFunction = std::function<c10::IValue(const ir::Module&, std::span<const c10::IValue>)>;

/// Which function runs which type of leaf. leaf_types.md lists what the built-in table has.
class LeafTable {
 public:
  /// The types of every front end.
  static LeafTable builtin();

  void add(std::string type, LeafFunction function);
  /// Null if the type is unknown.
  const LeafFunction* find(std::string_view type) const;

 private:
  std::unordered_map<std::string, LeafFunction> functions_;
};

}  // namespace lathe::ops
