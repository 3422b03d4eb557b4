#include "cli/trace_tree.h"

#include <fmt/format.h>

#include <functional>
#include <unordered_map>

#include "cli/value_text.h"

namespace lathe::cli {
namespace {

std::string last_part(const std::string& path) { return path.substr(path.rfind('.') + 1); }

std::string parent_of(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == path.npos ? "" : path.substr(0, dot);
}

bool is_number(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == name.npos;
}

/// What makes a module differ from its neighbours, children by name.
std::string sign(const TraceTree& tree) {
  const TracedModule& module = *tree.module;
  std::string text = fmt::format("{}|{}|{}|{}|{}", module.type, tensors_text(module),
                                 module.operations, module.failure, module.is_called);
  for (const TraceTree& child : tree.children)
    text += fmt::format("({}:{})", child.name, child.signature);
  // Signatures nest: a hash keeps them short.
  return fmt::format("{:016x}", std::hash<std::string>()(text));
}

/// Numbered neighbours that are equal become one.
void fold(std::vector<TraceTree>& children) {
  std::vector<TraceTree> folded;
  for (TraceTree& child : children) {
    const bool joins = !folded.empty() && is_number(child.name) &&
                       folded.back().signature == child.signature &&
                       is_number(last_part(folded.back().path));
    if (joins) {
      folded.back().count += 1;
      folded.back().name = fmt::format("[{}-{}]", last_part(folded.back().path), child.name);
    } else {
      folded.push_back(std::move(child));
    }
  }
  children = std::move(folded);
}

}  // namespace

std::string tensors_text(const TracedModule& module) {
  std::string text;
  for (const auto& tensor : module.tensors) {
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", tensor.name,
                        shape_text(tensor.shape), tensor.dtype);
  }
  return text;
}

TraceTree make_trace_tree(const Trace& trace) {
  // A shared module is listed once; children come after their parents.
  std::unordered_map<std::string, std::vector<const TracedModule*>> children;
  for (const TracedModule& module : trace.modules) {
    if (!module.path.empty()) children[parent_of(module.path)].push_back(&module);
  }
  const std::function<TraceTree(const TracedModule&)> build = [&](const TracedModule& module) {
    TraceTree tree{&module, last_part(module.path), module.path, 1, {}, {}};
    for (const TracedModule* child : children[module.path]) tree.children.push_back(build(*child));
    tree.signature = sign(tree);
    fold(tree.children);
    return tree;
  };
  return build(trace.modules.front());
}

}  // namespace lathe::cli
