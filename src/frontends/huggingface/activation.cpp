#include "frontends/huggingface/activation.h"

#include <array>

namespace lathe::frontends {
namespace {

struct ActivationRow {
  std::string_view name;
  std::string_view type;
  std::string_view approximate;  // of GELU
};

constexpr std::array kActivations = {
    ActivationRow{"silu", "SiLU", ""},
    ActivationRow{"swish", "SiLU", ""},
    ActivationRow{"relu", "ReLU", ""},
    ActivationRow{"gelu", "GELU", "none"},
    ActivationRow{"gelu_new", "GELU", "tanh"},
    ActivationRow{"gelu_fast", "GELU", "tanh"},
    ActivationRow{"gelu_pytorch_tanh", "GELU", "tanh"},
};

}  // namespace

ir::ModulePtr make_activation(std::string_view name) {
  for (const ActivationRow& row : kActivations) {
    if (row.name != name) continue;
    ir::ModulePtr module = ir::make_module(std::string(row.type));
    if (!row.approximate.empty()) {
      module->attributes.set("approximate", std::string(row.approximate));
    }
    return module;
  }
  return nullptr;
}

std::string supported_activations() {
  std::string names;
  for (const ActivationRow& row : kActivations) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

}  // namespace lathe::frontends
