#include "frontends/torch_export/recurrent.h"

#include <algorithm>

#include "ops/recurrent_leaves.h"

namespace lathe::frontends::torch_export {
namespace {

using Kind = Value::Kind;

const Value* find_input(const FlatNode& node, std::string_view name) {
  for (const NamedValue& input : node.inputs) {
    if (input.name == name) return &input.value;
  }
  return nullptr;
}

bool is_zeros(const FlatNode& node) { return node.target == "torch.ops.aten.zeros.default"; }

/// The first state is zero: every value of it comes from a zeros node of the call, and the call has
/// no other nodes.
bool starts_at_zero(const Call& call, const std::vector<std::string>& state) {
  std::vector<std::string> zeros;
  for (size_t i = 0; i + 1 < call.items.size(); ++i) {
    const FlatNode& node = *call.items[i].node;
    if (is_zeros(node) && node.outputs.size() == 1) zeros.push_back(node.outputs[0].text);
  }
  return std::all_of(state.begin(), state.end(), [&](const std::string& value) {
    return std::find(zeros.begin(), zeros.end(), value) != zeros.end();
  });
}

/// Whether the call is zeros, sizes, and last the operator.
bool has_only_zeros_before(const Call& call) {
  for (size_t i = 0; i + 1 < call.items.size(); ++i) {
    const FlatNode* node = call.items[i].node;
    if (node == nullptr) return false;
    if (!is_zeros(*node) && node->target != "torch.ops.aten.sym_size.int") return false;
  }
  return !call.items.empty() && call.items.back().node != nullptr;
}

std::vector<std::string> names_in(const Value& value) {
  std::vector<std::string> names;
  for_each_name(value, [&](const std::string& name) { names.push_back(name); });
  return names;
}

bool to_attributes(const FlatNode& node, RecoveredLeaf& leaf) {
  for (const char* name : {"has_biases", "train", "bidirectional", "batch_first"}) {
    const Value* value = find_input(node, name);
    if (value == nullptr || value->kind != Kind::kBool) return false;
    leaf.attributes.set(name, value->integer != 0);
  }
  const Value* layers = find_input(node, "num_layers");
  const Value* dropout = find_input(node, "dropout");
  if (layers == nullptr || layers->kind != Kind::kInt || layers->integer < 1) return false;
  if (dropout == nullptr || dropout->kind != Kind::kFloat) return false;
  leaf.attributes.set("num_layers", layers->integer);
  leaf.attributes.set("dropout", dropout->real);
  return true;
}

/// Whether the operator's weights are the module's, in torch's order.
bool has_own_parameters(const FlatNode& node, const RecoveredLeaf& leaf,
                        const LeafContext& context) {
  const Value* params = find_input(node, "params");
  if (params == nullptr) return false;
  std::vector<std::string> found;
  for (const std::string& value : names_in(*params)) found.push_back(context.parameter(value));
  const auto flag = [&](const char* name) { return std::get<bool>(*leaf.attributes.find(name)); };
  ops::RecurrentShape shape{.layers = std::get<int64_t>(*leaf.attributes.find("num_layers")),
                            .bidirectional = flag("bidirectional"),
                            .biases = flag("has_biases"),
                            .projected = false};
  if (static_cast<size_t>(shape.layers) > found.size()) return false;
  const auto plain = ops::recurrent_parameters(shape);
  shape.projected = true;
  return found == plain || found == ops::recurrent_parameters(shape);
}

/// The operator of each type; RNN has two.
std::string nonlinearity_of(const std::string& type, const std::string& target) {
  if (type == "LSTM" && target == "torch.ops.aten.lstm.input") return "lstm";
  if (type == "GRU" && target == "torch.ops.aten.gru.input") return "gru";
  if (type == "RNN" && target == "torch.ops.aten.rnn_tanh.input") return "tanh";
  if (type == "RNN" && target == "torch.ops.aten.rnn_relu.input") return "relu";
  return {};
}

}  // namespace

std::optional<RecoveredLeaf> recover_recurrent(const std::string& type, const Call& call,
                                               const LeafContext& context) {
  if (!has_only_zeros_before(call)) return std::nullopt;
  const FlatNode& node = *call.items.back().node;
  const std::string nonlinearity = nonlinearity_of(type, node.target);
  const Value* input = find_input(node, "input");
  const Value* state = find_input(node, "hx");
  if (nonlinearity.empty() || input == nullptr || state == nullptr) return std::nullopt;
  RecoveredLeaf leaf;
  if (!to_attributes(node, leaf) || !has_own_parameters(node, leaf, context)) return std::nullopt;
  if (type == "RNN") leaf.attributes.set("nonlinearity", nonlinearity);
  leaf.arguments = names_in(*input);
  const std::vector<std::string> states = names_in(*state);
  if (!starts_at_zero(call, states)) {
    if (call.items.size() != 1) return std::nullopt;
    leaf.arguments.insert(leaf.arguments.end(), states.begin(), states.end());
  }
  for (const Value& output : node.outputs) leaf.results.push_back(output.text);
  return leaf;
}

}  // namespace lathe::frontends::torch_export
