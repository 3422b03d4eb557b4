#include "frontends/torch_export/calls.h"

#include <algorithm>

namespace lathe::frontends::torch_export {
namespace {

bool is_below(std::string_view path, std::string_view prefix) {
  if (prefix.empty() || path == prefix) return true;
  return path.size() > prefix.size() && path.starts_with(prefix) && path[prefix.size()] == '.';
}

/// The calls below the root's. A module that is called within itself or within its parts is no call
/// of its own there.
std::vector<CallSite> inner(const std::vector<CallSite>& stack) {
  std::vector<CallSite> sites;
  for (const CallSite& site : stack) {
    const bool is_within_itself =
        std::any_of(sites.begin(), sites.end(),
                    [&](const CallSite& outer) { return is_below(outer.path, site.path); });
    if (!site.path.empty() && !is_within_itself) sites.push_back(site);
  }
  return sites;
}

using Stacks = std::vector<std::vector<CallSite>>;

/// A stack for every node.
Stacks complete_stacks(const FlatGraph& graph) {
  const size_t count = graph.nodes.size();
  Stacks stacks(count);
  std::vector<bool> known(count);
  for (size_t i = 0; i < count; ++i) {
    known[i] = !graph.nodes[i].stack.empty();
    stacks[i] = inner(graph.nodes[i].stack);
  }
  for (size_t i = 0; i < count;) {
    if (known[i]) {
      ++i;
      continue;
    }
    size_t next = i;
    while (next < count && !known[next]) ++next;
    std::vector<CallSite> shared;
    if (i > 0 && next < count) {
      const auto& before = stacks[i - 1];
      const auto& after = stacks[next];
      const auto end =
          std::mismatch(before.begin(), before.end(), after.begin(), after.end()).first;
      shared.assign(before.begin(), end);
    }
    for (; i < next; ++i) stacks[i] = shared;
  }
  return stacks;
}

}  // namespace

CallTree::CallTree(const FlatGraph& graph) {
  calls_.emplace_back();
  cut(graph);
  define(graph);
  find_outputs(graph);
}

Call& CallTree::enter(Call& parent, const CallSite& site, size_t position) {
  if (!parent.items.empty()) {
    Call* last = parent.items.back().call;
    if (last != nullptr && last->site == site) return *last;
  }
  calls_.push_back({.site = site, .parent = &parent, .begin = position, .end = position});
  parent.items.push_back({nullptr, &calls_.back()});
  return calls_.back();
}

void CallTree::cut(const FlatGraph& graph) {
  const Stacks stacks = complete_stacks(graph);
  Call& root = calls_.front();
  for (const FlatNode& node : graph.nodes) {
    if (!node.stack.empty() && node.stack.front().path.empty()) {
      root.site = node.stack.front();
      break;
    }
  }
  root.end = graph.nodes.size();
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Call* call = &root;
    for (const CallSite& site : stacks[i]) {
      call = &enter(*call, site, i);
      call->end = i + 1;
    }
    call->items.push_back({&graph.nodes[i], nullptr});
    of_node_.push_back(call);
  }
}

void CallTree::define(const FlatGraph& graph) {
  for (const Value& input : graph.inputs) {
    for_each_name(input, [&](const std::string& name) {
      definitions_[name] = {&calls_.front(), nullptr, 0};
    });
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const Value& output : graph.nodes[i].outputs) {
      for_each_name(output, [&](const std::string& name) {
        definitions_[name] = {of_node_[i], &graph.nodes[i], i};
      });
    }
  }
}

void CallTree::mark_read(const std::string& value, size_t position) {
  const Definition& definition = definitions_.at(value);
  if (definition.node == nullptr) return;
  for (Call* call = definition.call; call != nullptr && !call->contains(position);
       call = call->parent) {
    if (std::find(call->outputs.begin(), call->outputs.end(), value) == call->outputs.end())
      call->outputs.push_back(value);
  }
}

void CallTree::find_outputs(const FlatGraph& graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const NamedValue& input : graph.nodes[i].inputs)
      for_each_name(input.value, [&](const std::string& name) { mark_read(name, i); });
  }
  for (const Value& output : graph.outputs)
    for_each_name(output, [&](const std::string& name) { mark_read(name, graph.nodes.size()); });
  for (Call& call : calls_) {
    std::stable_sort(call.outputs.begin(), call.outputs.end(),
                     [&](const std::string& a, const std::string& b) {
                       return definitions_.at(a).position < definitions_.at(b).position;
                     });
  }
}

}  // namespace lathe::frontends::torch_export
