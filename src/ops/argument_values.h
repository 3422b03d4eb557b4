#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include <unordered_map>
#include <vector>

#include "ir/graph.h"

namespace lathe::ops {

/// The values of a graph's nodes, by slot.
struct ValueView {
  const std::unordered_map<const ir::Node*, size_t>& slots;
  const std::vector<c10::IValue>& values;

  const c10::IValue& of(const ir::Node* node) const { return values[slots.at(node)]; }
};

/// An argument as an IValue without knowing what it is for: lists become generic lists.
c10::IValue to_value(const ir::Argument& argument, const ValueView& values);

/// An argument as the type that an operator's schema asks for: an int where a float is wanted
/// becomes a float, a list gets its element type. InternalError if it does not fit.
c10::IValue to_value(const ir::Argument& argument, const ValueView& values,
                     const c10::TypePtr& type);

}  // namespace lathe::ops
