#include "ops/architecture_leaves.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/pow.h>

#include <cmath>

#include "ops/experts.h"
#include "ops/leaf_arguments.h"
#include "ops/operators.h"

namespace lathe::ops {
namespace {

std::string_view text_attribute(const ir::Module& module, std::string_view name) {
  const ir::Attribute* found = module.attributes.find(name);
  const auto* text = found ? std::get_if<std::string>(found) : nullptr;
  check_internal(text != nullptr, "{} has no text {}", module.type, name);
  return *text;
}

bool flag_attribute(const ir::Module& module, std::string_view name) {
  const ir::Attribute* found = module.attributes.find(name);
  const auto* flag = found ? std::get_if<bool>(found) : nullptr;
  return flag != nullptr && *flag;
}

/// GPT-2's linear layer, whose weight is [K, N].
c10::IValue run_transposed_linear(const ir::Module& module, LeafArguments arguments) {
  return at::linear(tensor_argument(module, arguments, 0), parameter(module, "weight").t(),
                    optional_parameter(module, "bias"));
}

/// A router that is computed in float32 whatever the model's dtype.
c10::IValue run_float32_linear(const ir::Module& module, LeafArguments arguments) {
  return at::linear(tensor_argument(module, arguments, 0).to(at::kFloat),
                    parameter(module, "weight").to(at::kFloat));
}

c10::IValue run_top_k_router(const ir::Module& module, LeafArguments arguments) {
  const auto score = routing_score(text_attribute(module, "score"));
  check_internal(score.has_value(), "{}: score is {}", module.type,
                 text_attribute(module, "score"));
  const Routing routing{.score = *score,
                        .top_k = module.int_attribute("top_k"),
                        .normalize = flag_attribute(module, "normalize"),
                        .scaling = module.float_attribute("scaling"),
                        .groups = module.int_attribute("groups"),
                        .top_groups = module.int_attribute("top_groups")};
  std::optional<at::Tensor> correction;
  if (arguments.size() > 1) correction = tensor_argument(module, arguments, 1);
  auto [weights, experts] = route(tensor_argument(module, arguments, 0), routing, correction);
  return std::make_tuple(std::move(weights), std::move(experts));
}

c10::IValue rotary_value(const ir::Module& module, LeafArguments arguments,
                         const at::Tensor& inv_freq) {
  auto [cos, sin] = rotary_table(inv_freq, tensor_argument(module, arguments, 1),
                                 module.float_attribute("attention_scaling"),
                                 tensor_argument(module, arguments, 0).scalar_type());
  return std::make_tuple(std::move(cos), std::move(sin));
}

int64_t sequence_length(const ir::Module& module, LeafArguments arguments) {
  const at::Tensor& positions = tensor_argument(module, arguments, 1);
  return positions.numel() == 0 ? 0 : positions.max().item<int64_t>() + 1;
}

/// NTK-aware scaling: the base grows with the sequence beyond the trained context.
c10::IValue run_dynamic_rotary_embedding(const ir::Module& module, LeafArguments arguments) {
  const int64_t context = module.int_attribute("context");
  const int64_t length = sequence_length(module, arguments);
  const at::Tensor& trained = buffer(module, "inv_freq");
  if (length <= context) return rotary_value(module, arguments, trained);
  const double factor = module.float_attribute("factor");
  const auto dim = static_cast<double>(2 * trained.size(0));
  const double growth = factor * static_cast<double>(length) / static_cast<double>(context);
  const double base =
      module.float_attribute("theta") * std::pow(growth - (factor - 1), dim / (dim - 2));
  const at::Tensor exponents = at::arange(0, 2 * trained.size(0), 2, at::kFloat) / dim;
  return rotary_value(module, arguments, at::pow(at::Scalar(base), exponents).reciprocal());
}

/// LongRoPE: one set of frequencies within the trained context, another beyond.
c10::IValue run_long_rotary_embedding(const ir::Module& module, LeafArguments arguments) {
  const bool is_long = sequence_length(module, arguments) > module.int_attribute("context");
  return rotary_value(module, arguments, buffer(module, is_long ? "long_inv_freq" : "inv_freq"));
}

}  // namespace

void add_architecture_leaves(LeafTable& table) {
  table.add("Conv1D", run_transposed_linear);
  table.add("Float32Linear", run_float32_linear);
  table.add("TopKRouter", run_top_k_router);
  table.add("DynamicRotaryEmbedding", run_dynamic_rotary_embedding);
  table.add("LongRotaryEmbedding", run_long_rotary_embedding);
}

}  // namespace lathe::ops
