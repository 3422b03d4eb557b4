#include "frontends/torch_export/mutation.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <vector>

#include "frontends/torch_export/calls.h"
#include "frontends/torch_export/operators.h"

namespace lathe::frontends::torch_export {
namespace {

/// The schema of a node's operator; nothing for functions on numbers and unknown ones.
std::optional<c10::OperatorHandle> find_schema(const FlatNode& node) {
  try {
    return find_operator(operator_name(node.target));
  } catch (const Untraceable&) {
    return std::nullopt;
  }
}

/// Operators that give their input itself, which their schemas do not say.
bool may_return_input(std::string_view op) {
  for (const std::string_view name :
       {"aten::dropout", "aten::feature_dropout", "aten::alpha_dropout",
        "aten::feature_alpha_dropout", "aten::einsum", "aten::pad", "aten::constant_pad_nd",
        "aten::interpolate"}) {
    if (op == name) return true;
  }
  return false;
}

/// Values by the memory that they may share.
class AliasGroups {
 public:
  size_t find(const std::string& value) {
    const auto [entry, is_new] = index_.try_emplace(value, parents_.size());
    if (is_new) parents_.push_back(entry->second);
    return root(entry->second);
  }
  void join(const std::string& a, const std::string& b) { parents_[find(a)] = find(b); }

 private:
  size_t root(size_t index) {
    while (parents_[index] != index) index = parents_[index] = parents_[parents_[index]];
    return index;
  }
  std::unordered_map<std::string, size_t> index_;
  std::vector<size_t> parents_;
};

struct Write {
  const FlatNode* node;
  std::string value;
  size_t position;
};

class MutationFinder {
 public:
  explicit MutationFinder(const Program& program) : program_(program) {}

  Mutations find() {
    for (size_t i = 0; i < program_.graph.nodes.size(); ++i) visit(program_.graph.nodes[i], i);
    for (const Value& output : program_.graph.outputs) {
      for_each_name(output, [&](const std::string& name) {
        readers_[name].push_back(program_.graph.nodes.size());
      });
    }
    for (const OutputSpec& output : program_.outputs) {
      if (output.kind == OutputSpec::Kind::kBufferMutation) replaced_.insert(output.target);
    }
    collect_groups();
    for (size_t i = 0; i < program_.inputs.size(); ++i) classify_input(i);
    for (const Write& write : writes_) {
      if (is_private(write)) result_.private_nodes.insert(write.node);
    }
    return std::move(result_);
  }

 private:
  void visit(const FlatNode& node, size_t position) {
    for (const NamedValue& input : node.inputs) {
      for_each_name(input.value,
                    [&](const std::string& name) { readers_[name].push_back(position); });
    }
    for (const Value& output : node.outputs)
      for_each_name(output, [&](const std::string& name) { defined_[name] = position; });
    const auto op = find_schema(node);
    if (!op) return;
    const std::string& name = op->schema().name();
    for (const c10::Argument& formal : op->schema().arguments()) {
      const bool writes = formal.alias_info() != nullptr && formal.alias_info()->isWrite();
      const bool shares = formal.alias_info() != nullptr || may_return_input(name);
      for (const NamedValue& input : node.inputs) {
        if (input.name != formal.name()) continue;
        for_each_name(input.value, [&](const std::string& value) {
          if (writes || updates_statistics(node, formal.name()))
            writes_.push_back({&node, value, position});
          if (shares) join_outputs(value, node);
        });
      }
    }
  }

  /// Batch and instance norm in training mode, whose schemas do not say so.
  static bool updates_statistics(const FlatNode& node, const std::string& argument) {
    if (argument != "running_mean" && argument != "running_var") return false;
    for (const NamedValue& input : node.inputs) {
      if ((input.name == "training" || input.name == "use_input_stats") &&
          input.value.integer != 0) {
        return true;
      }
    }
    return false;
  }

  void join_outputs(const std::string& value, const FlatNode& node) {
    for (const Value& output : node.outputs)
      for_each_name(output, [&](const std::string& name) { groups_.join(name, value); });
  }

  /// One value of a group: where it is computed, and where it or an earlier one is last read.
  struct Member {
    size_t defined;
    size_t last_read;
  };

  void collect_groups() {
    for (const auto& [value, position] : defined_) {
      const auto& readers = readers_[value];
      members_[groups_.find(value)].push_back({position, readers.empty() ? 0 : readers.back()});
    }
    for (auto& [group, members] : members_) {
      std::sort(members.begin(), members.end(),
                [](const Member& a, const Member& b) { return a.defined < b.defined; });
      for (size_t i = 1; i < members.size(); ++i)
        members[i].last_read = std::max(members[i].last_read, members[i - 1].last_read);
    }
    for (const Write& write : writes_) written_.insert(groups_.find(write.value));
  }

  void classify_input(size_t index) {
    const InputSpec& input = program_.inputs[index];
    if (input.value.kind != Value::Kind::kName) return;
    const std::string& name = input.value.text;
    inputs_.insert(groups_.find(name));
    const bool is_tensor = input.kind != InputSpec::Kind::kUser;
    if (written_.contains(groups_.find(name))) {
      result_.inputs.insert(name);
      if (is_tensor) result_.tensors.insert(input.target);
    }
    if (is_tensor && replaced_.contains(input.target)) result_.tensors.insert(input.target);
  }

  /// Nothing that shares the memory and was computed before the node is read after it.
  bool is_private(const Write& write) {
    const size_t group = groups_.find(write.value);
    if (inputs_.contains(group)) return false;
    const std::vector<Member>& members = members_[group];
    const auto later = std::lower_bound(
        members.begin(), members.end(), write.position,
        [](const Member& member, size_t position) { return member.defined < position; });
    return later == members.begin() || std::prev(later)->last_read <= write.position;
  }

  const Program& program_;
  Mutations result_;
  AliasGroups groups_;
  std::vector<Write> writes_;
  std::unordered_map<std::string, std::vector<size_t>> readers_;
  std::unordered_map<std::string, size_t> defined_;
  std::unordered_map<size_t, std::vector<Member>> members_;
  std::unordered_set<size_t> written_;        // groups
  std::unordered_set<size_t> inputs_;         // groups
  std::unordered_set<std::string> replaced_;  // buffers that get a new value at the end
};

}  // namespace

Mutations find_mutations(const Program& program) { return MutationFinder(program).find(); }

}  // namespace lathe::frontends::torch_export
