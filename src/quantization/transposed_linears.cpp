#include "quantization/transposed_linears.h"

namespace lathe::quantization {
namespace {

constexpr std::string_view kTransposed = "Conv1D";

ir::ParameterPtr transposed(const ir::ParameterPtr& weight) {
  const std::vector<int64_t> shape = {weight->shape().at(1), weight->shape().at(0)};
  return std::make_shared<ir::Parameter>(weight->dtype(), shape, [weight] {
    at::Tensor value = weight->tensor().t().contiguous();
    weight->release();
    return value;
  });
}

}  // namespace

void transpose_linears(ir::Module& root, const QuantizerResolver& resolver) {
  for (const auto& [path, module] : ir::named_modules(root)) {
    ir::ParameterPtr* weight = module->parameters.find("weight");
    if (module->type != kTransposed || weight == nullptr || (*weight)->shape().size() != 2)
      continue;
    if (!resolver.resolve(ir::join_path(path, "weight_quantizer"), "Linear").enabled) continue;
    module->type = "Linear";
    *weight = transposed(*weight);
  }
}

}  // namespace lathe::quantization
