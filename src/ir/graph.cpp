#include "ir/graph.h"

#include <algorithm>
#include <cctype>
#include <unordered_map>

#include "base/error.h"

namespace lathe::ir {
namespace {

using NodeMap = std::unordered_map<const Node*, const Node*>;

Argument remap(const Argument& argument, const NodeMap& map) {
  if (const Node* node = argument.node()) return map.at(node);
  if (const auto* list = std::get_if<Argument::List>(&argument.value())) {
    Argument::List copy;
    copy.reserve(list->size());
    for (const Argument& item : *list) copy.push_back(remap(item, map));
    return copy;
  }
  return argument;
}

/// "self_attn.q_proj" and "aten::add.Tensor" make names "q_proj" and "add".
std::string name_from_target(const Node& node) {
  std::string_view target = node.target;
  if (node.kind == NodeKind::kOutput) return "output";
  if (node.kind == NodeKind::kCallOp) {
    if (const size_t colons = target.rfind("::"); colons != std::string_view::npos)
      target.remove_prefix(colons + 2);
    return std::string(target.substr(0, target.find('.')));
  }
  std::string name(target);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

/// Names of inputs can be anything; those of nodes are words of the text form.
std::string as_word(std::string name) {
  const auto is_odd = [](char c) {
    return !std::isalnum(static_cast<unsigned char>(c)) && c != '_' && c != '.' && c != ':';
  };
  std::replace_if(name.begin(), name.end(), is_odd, '_');
  return name;
}

}  // namespace

const Node* Argument::node() const {
  const auto* node = std::get_if<const Node*>(&value_);
  return node ? *node : nullptr;
}

void Argument::replace(const Node* from, const Node* to) {
  if (node() == from) value_ = to;
  if (auto* list = std::get_if<List>(&value_)) {
    for (Argument& item : *list) item.replace(from, to);
  }
}

void Node::replace_input(const Node* from, const Node* to) {
  for (Argument& argument : args) argument.replace(from, to);
  for (auto& [name, argument] : kwargs) argument.replace(from, to);
}

Graph Graph::clone() const {
  Graph copy;
  NodeMap map;
  for (const auto& node : nodes_) {
    Node twin{node->kind, node->name, node->target, {}, {}};
    for (const Argument& argument : node->args) twin.args.push_back(remap(argument, map));
    for (const auto& [name, argument] : node->kwargs)
      twin.kwargs.emplace_back(name, remap(argument, map));
    copy.nodes_.push_back(std::make_unique<Node>(std::move(twin)));
    map[node.get()] = copy.nodes_.back().get();
    copy.by_name_[node->name] = copy.nodes_.back().get();
  }
  return copy;
}

const Node* Graph::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : found->second;
}

std::vector<const Node*> Graph::placeholders() const {
  std::vector<const Node*> found;
  for (const auto& node : nodes_) {
    if (node->kind == NodeKind::kPlaceholder) found.push_back(node.get());
  }
  return found;
}

const Node* Graph::output() const {
  if (nodes_.empty() || nodes_.back()->kind != NodeKind::kOutput) return nullptr;
  return nodes_.back().get();
}

std::vector<Node*> Graph::users(const Node* node) {
  std::vector<Node*> found;
  for (const auto& candidate : nodes_) {
    bool uses = false;
    candidate->for_each_input([&](const Node* input) { uses |= input == node; });
    if (uses) found.push_back(candidate.get());
  }
  return found;
}

Node* Graph::append(Node node) { return insert_at(nodes_.size(), std::move(node)); }
Node* Graph::insert_before(const Node* position, Node node) {
  return insert_at(index_of(position), std::move(node));
}
Node* Graph::insert_after(const Node* position, Node node) {
  return insert_at(index_of(position) + 1, std::move(node));
}

void Graph::erase(const Node* node) {
  check_internal(users(node).empty(), "node {} is erased while others read it", node->name);
  by_name_.erase(node->name);
  next_number_.clear();  // a number may be free again
  nodes_.erase(nodes_.begin() + static_cast<std::ptrdiff_t>(index_of(node)));
}

void Graph::replace_uses(const Node* from, const Node* to, const Node* except) {
  for (Node* user : users(from)) {
    if (user != except) user->replace_input(from, to);
  }
}

size_t Graph::index_of(const Node* node) const {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].get() == node) return i;
  }
  throw_internal("node {} is not in this graph", node->name);
}

Node* Graph::insert_at(size_t index, Node node) {
  node.name = unique_name(as_word(node.name.empty() ? name_from_target(node) : node.name));
  const auto position = nodes_.begin() + static_cast<std::ptrdiff_t>(index);
  Node* added = nodes_.insert(position, std::make_unique<Node>(std::move(node)))->get();
  by_name_[added->name] = added;
  return added;
}

std::string Graph::unique_name(const std::string& wanted) {
  if (find(wanted) == nullptr) return wanted;
  int& number = next_number_.try_emplace(wanted, 1).first->second;
  std::string name = fmt::format("{}_{}", wanted, number);
  while (find(name) != nullptr) name = fmt::format("{}_{}", wanted, ++number);
  return name;
}

Node* GraphBuilder::placeholder(std::string name) {
  return graph_.append({NodeKind::kPlaceholder, name, name, {}, {}});
}

Node* GraphBuilder::optional_placeholder(std::string name) {
  return graph_.append({NodeKind::kPlaceholder, name, name, {Argument()}, {}});
}

Node* GraphBuilder::get_attr(std::string path) {
  return graph_.append({NodeKind::kGetAttr, {}, std::move(path), {}, {}});
}

Node* GraphBuilder::call_op(std::string op, std::vector<Argument> args,
                            std::vector<std::pair<std::string, Argument>> kwargs,
                            std::string name) {
  return graph_.append(
      {NodeKind::kCallOp, std::move(name), std::move(op), std::move(args), std::move(kwargs)});
}

Node* GraphBuilder::call_module(std::string path, std::vector<Argument> args) {
  return graph_.append({NodeKind::kCallModule, {}, std::move(path), std::move(args), {}});
}

void GraphBuilder::output(Argument value) {
  graph_.append({NodeKind::kOutput, {}, {}, {std::move(value)}, {}});
}

void GraphBuilder::named_output(std::vector<std::pair<std::string, Argument>> values) {
  graph_.append({NodeKind::kOutput, {}, {}, {}, std::move(values)});
}

GraphPtr GraphBuilder::build() {
  return std::make_shared<const Graph>(std::exchange(graph_, Graph()));
}

}  // namespace lathe::ir
