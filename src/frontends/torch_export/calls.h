#pragma once

#include <deque>
#include <string>
#include <unordered_map>
#include <vector>

#include "frontends/torch_export/program.h"

namespace lathe::frontends::torch_export {

/// A call of a module: a run of the flat graph's nodes, its own and those of the calls within it.
struct Call {
  CallSite site;
  Call* parent = nullptr;  // null for the root's
  size_t begin = 0;        // nodes [begin, end) of the flat graph
  size_t end = 0;
  struct Item {
    const FlatNode* node;  // null for a call
    Call* call;
  };
  std::vector<Item> items;           // in order
  std::vector<std::string> outputs;  // values that are computed here and read outside, in order

  bool contains(size_t position) const { return begin <= position && position < end; }
};

/// Where a value comes from: a node of `call`, or an input of the program.
struct Definition {
  Call* call;            // the root's for inputs
  const FlatNode* node;  // null for inputs
  size_t position;       // of the node in the flat graph
};

/// The flat graph cut into calls by its nodes' nn_module_stack. A node without one belongs to the
/// innermost call that both of its neighbours belong to. It refers to the graph, which must outlive
/// it.
class CallTree {
 public:
  explicit CallTree(const FlatGraph& graph);

  Call& root() { return calls_.front(); }
  const Call& root() const { return calls_.front(); }
  const Definition& definition(const std::string& value) const { return definitions_.at(value); }
  /// The innermost call of each node, by position.
  const Call& call_at(size_t position) const { return *of_node_[position]; }

 private:
  Call& enter(Call& parent, const CallSite& site, size_t position);
  void cut(const FlatGraph& graph);
  void define(const FlatGraph& graph);
  void find_outputs(const FlatGraph& graph);
  void mark_read(const std::string& value, size_t position);

  std::deque<Call> calls_;  // addresses stay
  std::vector<Call*> of_node_;
  std::unordered_map<std::string, Definition> definitions_;
};

}  // namespace lathe::frontends::torch_export
