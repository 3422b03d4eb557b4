#include "ops/leaf_table.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>

#include "ops/architecture_leaves.h"
#include "ops/leaf_arguments.h"
#include "ops/operator_leaves.h"
#include "ops/operators.h"
#include "ops/recurrent_leaves.h"

namespace lathe::ops {
namespace {

using Arguments = LeafArguments;

c10::IValue run_linear(const ir::Module& module, Arguments arguments) {
  const at::Tensor& x = tensor_argument(module, arguments, 0);
  return at::linear(x, parameter(module, "weight"), optional_parameter(module, "bias"));
}

c10::IValue run_embedding(const ir::Module& module, Arguments arguments) {
  return at::embedding(parameter(module, "weight"), tensor_argument(module, arguments, 0));
}

c10::IValue run_rms_norm(const ir::Module& module, Arguments arguments) {
  const double offset =
      module.has_attribute("weight_offset") ? module.float_attribute("weight_offset") : 0.0;
  return rms_norm(tensor_argument(module, arguments, 0), parameter(module, "weight"),
                  module.float_attribute("eps"), offset);
}

c10::IValue run_layer_norm(const ir::Module& module, Arguments arguments) {
  const at::Tensor& weight = parameter(module, "weight");
  return at::layer_norm(tensor_argument(module, arguments, 0), weight.sizes(), weight,
                        optional_parameter(module, "bias"), module.float_attribute("eps"));
}

c10::IValue run_silu(const ir::Module& module, Arguments arguments) {
  return at::silu(tensor_argument(module, arguments, 0));
}

c10::IValue run_relu(const ir::Module& module, Arguments arguments) {
  return at::relu(tensor_argument(module, arguments, 0));
}

c10::IValue run_gelu(const ir::Module& module, Arguments arguments) {
  const auto* approximate = module.attributes.find("approximate");
  const auto* name = approximate ? std::get_if<std::string>(approximate) : nullptr;
  return at::gelu(tensor_argument(module, arguments, 0), name ? *name : std::string("none"));
}

c10::IValue run_rotary_embedding(const ir::Module& module, Arguments arguments) {
  auto [cos, sin] = rotary_table(buffer(module, "inv_freq"), tensor_argument(module, arguments, 1),
                                 module.float_attribute("attention_scaling"),
                                 tensor_argument(module, arguments, 0).scalar_type());
  return std::make_tuple(std::move(cos), std::move(sin));
}

}  // namespace

LeafTable LeafTable::builtin() {
  LeafTable table;
  table.add("Linear", run_linear);
  table.add("Embedding", run_embedding);
  table.add("RMSNorm", run_rms_norm);
  table.add("LayerNorm", run_layer_norm);
  table.add("SiLU", run_silu);
  table.add("ReLU", run_relu);
  table.add("GELU", run_gelu);
  table.add("RotaryEmbedding", run_rotary_embedding);
  add_architecture_leaves(table);
  add_operator_leaves(table);
  add_recurrent_leaves(table);
  return table;
}

void LeafTable::add(std::string type, LeafFunction function) {
  functions_[std::move(type)] = std::move(function);
}

const LeafFunction* LeafTable::find(std::string_view type) const {
  const auto found = functions_.find(std::string(type));
  return found == functions_.end() ? nullptr : &found->second;
}

}  // namespace lathe::ops
