#include "frontends/huggingface/activation.h"

#include <array>

namespace lathe::frontends {
namespace {

using ir::GraphBuilder;
using ir::Node;

struct ActivationRow {
  std::string_view name;
  std::string_view type;
  std::string_view approximate = "";               // of GELU
  Node* (*apply)(GraphBuilder&, Node*) = nullptr;  // of composites
};

/// x * sigmoid(1.702 x)
Node* quick_gelu(GraphBuilder& graph, Node* x) {
  Node* scaled = graph.call_op("aten::mul.Scalar", {x, 1.702});
  return graph.call_op("aten::mul.Tensor", {x, graph.call_op("aten::sigmoid", {scaled})});
}

Node* relu_squared(GraphBuilder& graph, Node* x) {
  return graph.call_op("aten::square", {graph.call_op("aten::relu", {x})});
}

Node* identity(GraphBuilder&, Node* x) { return x; }

constexpr std::array kActivations = {
    ActivationRow{"silu", "SiLU"},
    ActivationRow{"swish", "SiLU"},
    ActivationRow{"relu", "ReLU"},
    ActivationRow{"gelu", "GELU", "none"},
    ActivationRow{"gelu_python", "GELU", "none"},
    ActivationRow{"gelu_new", "GELU", "tanh"},
    ActivationRow{"gelu_fast", "GELU", "tanh"},
    ActivationRow{"gelu_accurate", "GELU", "tanh"},
    ActivationRow{"gelu_pytorch_tanh", "GELU", "tanh"},
    ActivationRow{"gelu_python_tanh", "GELU", "tanh"},
    ActivationRow{"quick_gelu", "QuickGELUActivation", "", quick_gelu},
    ActivationRow{"relu2", "ReLUSquaredActivation", "", relu_squared},
    ActivationRow{"tanh", "Tanh"},
    ActivationRow{"sigmoid", "Sigmoid"},
    ActivationRow{"relu6", "ReLU6"},
    ActivationRow{"mish", "Mish"},
    ActivationRow{"leaky_relu", "LeakyReLU"},
    ActivationRow{"linear", "LinearActivation", "", identity},
};

const ActivationRow* find_row(std::string_view name) {
  for (const ActivationRow& row : kActivations) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

}  // namespace

ir::ModulePtr make_activation(std::string_view name) {
  const ActivationRow* row = find_row(name);
  if (row == nullptr) return nullptr;
  ir::ModulePtr module = ir::make_module(std::string(row->type));
  if (!row->approximate.empty()) {
    module->attributes.set("approximate", std::string(row->approximate));
  }
  if (row->apply != nullptr) {
    GraphBuilder graph;
    graph.output(row->apply(graph, graph.placeholder("x")));
    module->graph = graph.build();
  }
  return module;
}

bool is_activation(std::string_view name) { return find_row(name) != nullptr; }

std::string supported_activations() {
  std::string names;
  for (const ActivationRow& row : kActivations) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace lathe::frontends
