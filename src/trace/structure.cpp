#include "trace/structure.h"

#include <algorithm>
#include <array>

namespace lathe::trace {
namespace {

using ir::Node;
using ir::NodeKind;

struct OperatorType {
  std::string_view op;  // without its overload
  std::string_view type;
};

constexpr std::array<OperatorType, 9> kOperatorTypes = {{
    {"aten::linear", "Linear"},
    {"aten::conv1d", "Conv1d"},
    {"aten::conv2d", "Conv2d"},
    {"aten::conv3d", "Conv3d"},
    {"aten::conv_transpose1d", "ConvTranspose1d"},
    {"aten::conv_transpose2d", "ConvTranspose2d"},
    {"aten::conv_transpose3d", "ConvTranspose3d"},
    {"aten::layer_norm", "LayerNorm"},
    {"aten::group_norm", "GroupNorm"},
}};

std::string_view type_of_operator(std::string_view op) {
  op = op.substr(0, op.find('.'));
  for (const OperatorType& entry : kOperatorTypes) {
    if (entry.op == op) return entry.type;
  }
  return {};
}

bool reads_input_and_parameters(const Node& call, const Node* input) {
  if (call.args.empty() || call.args[0].node() != input) return false;
  bool own = true;
  call.for_each_input([&](const Node* node) {
    own &= node == input ||
           (node->kind == NodeKind::kGetAttr && node->target.find('.') == std::string::npos);
  });
  return own;
}

/// The type of the one operator that the graph is, if it is one.
std::string_view operator_type(const ir::Module& module) {
  const Node* input = nullptr;
  const Node* call = nullptr;
  for (const auto& node : module.graph->nodes()) {
    const bool is_second = (node->kind == NodeKind::kPlaceholder && input != nullptr) ||
                           (node->kind == NodeKind::kCallOp && call != nullptr);
    if (is_second || node->kind == NodeKind::kCallModule) return {};
    if (node->kind == NodeKind::kPlaceholder) input = node.get();
    if (node->kind == NodeKind::kCallOp) call = node.get();
  }
  const Node* output = module.graph->output();
  if (call == nullptr || input == nullptr || output == nullptr || output->args.empty() ||
      output->args[0].node() != call || !module.children.empty()) {
    return {};
  }
  return reads_input_and_parameters(*call, input) ? type_of_operator(call->target)
                                                  : std::string_view();
}

/// Of a module that nothing calls, the program does not say the type; a weight of 3 to 5 dimensions
/// is that of a convolution.
std::string_view type_of_weight(const ir::Module& module) {
  const ir::ParameterPtr* weight = module.parameters.find("weight");
  if (module.type != "Module" || module.is_composite() || weight == nullptr) return {};
  constexpr std::array<std::string_view, 3> kTypes = {"Conv1d", "Conv2d", "Conv3d"};
  const size_t rank = (*weight)->shape().size();
  return rank >= 3 && rank <= 5 ? kTypes[rank - 3] : std::string_view();
}

}  // namespace

bool is_chain(const ir::Module& module) {
  if (!module.graph || module.children.empty()) return false;
  const Node* last = nullptr;
  for (const auto& node : module.graph->nodes()) {
    if (node->kind == NodeKind::kOutput)
      return node->args.size() == 1 && last != nullptr && node->args[0].node() == last;
    const bool is_input = node->kind == NodeKind::kPlaceholder && last == nullptr;
    const bool is_next = node->kind == NodeKind::kCallModule && node->args.size() == 1 &&
                         node->args[0].node() == last;
    if (!is_input && !is_next) return false;
    last = node.get();
  }
  return false;
}

std::string_view symbolic_type(const ir::Module& module, const SymRegistry& registry) {
  if (registry.find(module.type) != nullptr) return module.type;
  if (const std::string_view type = type_of_weight(module); registry.find(type) != nullptr)
    return type;
  if (!module.is_composite() || registry.is_leaf(module.type)) return {};
  std::string_view type = operator_type(module);
  const bool is_numbered =
      std::all_of(module.children.begin(), module.children.end(), [](const auto& child) {
        return child.first.find_first_not_of("0123456789") == std::string::npos;
      });
  if (type.empty() && is_numbered && is_chain(module)) type = "Sequential";
  return registry.find(type) != nullptr ? type : std::string_view();
}

bool is_closed_composite(std::string_view type) {
  constexpr std::array<std::string_view, 12> kTypes = {
      "MultiheadAttention",
      "Transformer",
      "TransformerEncoder",
      "TransformerEncoderLayer",
      "TransformerDecoder",
      "TransformerDecoderLayer",
      "LSTM",
      "GRU",
      "RNN",
      "LSTMCell",
      "GRUCell",
      "RNNCell",
  };
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

}  // namespace lathe::trace
