#pragma once

#include <fmt/format.h>

#include <string>

#include "ir/text.h"
#include "lathe/trace_types.h"

namespace lathe::trace {

/// Modules in the text form, for tests. Numbers of graphs and parameters are drawn from a counter.
inline int next_number() {
  static int number = 100;
  return ++number;
}

inline std::string parameter(const std::string& name, const std::string& shape) {
  return fmt::format("parameter {}: f32[{}] &{} ", name, shape, next_number());
}

inline std::string conv(const std::string& name, int out, int in, int groups = 1,
                        const std::string& type = "Conv2d") {
  return fmt::format("child {}: {} {{ attribute groups = {} {}{} }}\n", name, type, groups,
                     parameter("weight", fmt::format("{}, {}, 3, 3", out, in / groups)),
                     parameter("bias", std::to_string(out)));
}

inline std::string linear(const std::string& name, int out, int in) {
  return fmt::format("child {}: Linear {{ {}{} }}\n", name,
                     parameter("weight", fmt::format("{}, {}", out, in)),
                     parameter("bias", std::to_string(out)));
}

/// A norm or activation: a leaf with weights of `size`, or without.
inline std::string leaf(const std::string& name, const std::string& type, int size = 0) {
  const std::string weight = size > 0 ? parameter("weight", std::to_string(size)) : "";
  return fmt::format("child {}: {} {{ attribute eps = 0.00001 {} }}\n", name, type, weight);
}

/// A composite with inputs x (and y), its nodes and children.
inline std::string composite(const std::string& heading, const std::string& nodes,
                             const std::string& children) {
  const std::string second = nodes.find("%y") == nodes.npos || nodes.find("%y =") != nodes.npos
                                 ? ""
                                 : "%y = placeholder \"y\"\n";
  return fmt::format("{} {{ graph @{} {{ %x = placeholder \"x\"\n{}{} }}\n{} }}\n", heading,
                     next_number(), second, nodes, children);
}

inline ir::ModulePtr net(const std::string& nodes, const std::string& children) {
  return ir::parse_module(composite("module Net", nodes, children));
}

/// A chain of children "0", "1", ...
inline std::string sequential(const std::string& heading, int count, const std::string& children) {
  std::string nodes, last = "x";
  for (int i = 0; i < count; ++i) {
    nodes += fmt::format("%v{} = call_module {}(%{})\n", i, i, last);
    last = fmt::format("v{}", i);
  }
  return composite(heading, nodes + "output(%" + last + ")", children);
}

/// One line a searchable symbol, kernel sizes left out: "a.out: b.in c.in"; "!" marks those that
/// cannot be sorted; depths have their skippable blocks: "blocks.depth [0, 2]".
std::string symbols_text(const SymMap& map);

}  // namespace lathe::trace
