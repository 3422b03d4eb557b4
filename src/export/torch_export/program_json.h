#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "lathe/dtype.h"

namespace lathe::exporting {

using Json = nlohmann::json;

/// Calls visit(name, item) for every tensor that an argument of the schema's union Argument names;
/// `item` is its place in a list, 0 elsewhere. `name` is a JSON string.
template <typename AnyJson, typename Visit>
void for_each_tensor(AnyJson& argument, const Visit& visit) {
  if (!argument.is_object()) return;
  const auto named = [&](auto& tensor, size_t item) {
    if (!tensor.is_object()) return;
    if (const auto name = tensor.find("name"); name != tensor.end() && name->is_string())
      visit(*name, item);
    if (const auto inner = tensor.find("as_tensor"); inner != tensor.end() && inner->is_object()) {
      if (const auto name = inner->find("name"); name != inner->end() && name->is_string())
        visit(*name, item);
    }
  };
  for (auto& [kind, value] : argument.items()) {
    if (kind == "as_tensor" || kind == "as_optional_tensor") named(value, 0);
    if (kind == "as_string_to_argument" && value.is_object()) {
      for (auto& [key, inner] : value.items()) for_each_tensor(inner, visit);
    }
    if (!value.is_array()) continue;
    const bool is_list = kind == "as_tensors" || kind == "as_optional_tensors";
    size_t item = 0;
    for (auto& element : value) {
      if (is_list) named(element, item);
      if (kind == "as_nested_tensors" && element.is_array()) {
        for (auto& tensor : element) named(tensor, item);
      }
      ++item;
    }
  }
}

/// Where a value is read: as an argument of a node, or by the program's output.
struct Read {
  static constexpr size_t kOutput = static_cast<size_t>(-1);
  size_t node;      // index, or kOutput
  size_t argument;  // index
  size_t item;
  friend bool operator==(const Read&, const Read&) = default;
};

/// Where a value comes from: an input of the program, or a node.
struct Origin {
  bool is_input;
  size_t index;
};

/// A parameter or buffer that is saved with the program.
struct SavedInput {
  size_t index;  // among the inputs
  std::string value;
  bool is_parameter;
};

/// What the schema says of a tensor; nullopt for sizes that depend on the input.
struct ValueMeta {
  std::optional<DType> dtype;
  std::vector<std::optional<int64_t>> sizes;
  const Json* json;
};

/// A program of torch.export as JSON (torch/csrc/utils/generated_serialization_types.h), checked as
/// far as it is edited, and what is asked of it. It does not change.
class ProgramJson {
 public:
  /// DataError if it is malformed or of another schema version.
  ProgramJson(Json json, std::string source_name);

  const std::string& source_name() const { return source_name_; }
  const Json& root() const { return json_; }
  const Json& graph() const { return json_["graph_module"]["graph"]; }
  const Json& nodes() const { return graph()["nodes"]; }
  const Json& signature() const { return json_["graph_module"]["signature"]; }

  /// The node that gives the value, if one does.
  std::optional<size_t> find_node(const std::string& value) const;
  const std::string& target(size_t node) const;
  /// Names of the tensors that a node gives.
  const std::vector<std::string>& results(size_t node) const { return results_[node]; }
  /// Entries of nn_module_stack, from the root; empty if there is none.
  const std::vector<std::string>& stack(size_t node) const { return stacks_[node]; }
  /// The argument's index; nothing if the node is given none of that name.
  std::optional<size_t> find_argument(size_t node, std::string_view name) const;

  const Origin* origin(const std::string& value) const;
  /// In order, the outputs last.
  const std::vector<Read>& reads(const std::string& value) const;
  std::optional<ValueMeta> meta(const std::string& value) const;

  /// Nothing for constants, buffers that are not saved, and names that there are not.
  const SavedInput* find_saved(const std::string& name) const;
  const std::unordered_map<std::string, SavedInput>& saved() const { return saved_; }
  /// Whether the signature has a tensor of that name, saved or not.
  bool has_tensor(const std::string& name) const { return tensor_names_.contains(name); }
  /// Whether the program gives the buffer, parameter or input of this name a new value.
  bool is_mutated(const std::string& name) const { return mutated_.contains(name); }

  /// Whether the value is of a graph that a higher-order operator is given.
  bool is_inner(const std::string& value) const { return inner_values_.contains(value); }
  /// All names that the outer graph uses for values and nodes.
  const std::unordered_set<std::string>& names() const { return names_; }

 private:
  void check() const;
  void index_inputs();
  void index_nodes();
  void index_outputs();
  void add_inner_values(const Json& argument, int depth);
  void define(const std::string& value, Origin origin);

  Json json_;
  std::string source_name_;
  std::vector<std::vector<std::string>> results_;
  std::vector<std::vector<std::string>> stacks_;
  std::unordered_map<std::string, Origin> origins_;
  std::unordered_map<std::string, std::vector<Read>> reads_;
  std::unordered_map<std::string, SavedInput> saved_;
  std::unordered_set<std::string> tensor_names_;
  std::unordered_set<std::string> mutated_;
  std::unordered_set<std::string> inner_values_;
  std::unordered_set<std::string> names_;
};

}  // namespace lathe::exporting
