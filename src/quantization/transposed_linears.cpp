#include "quantization/transposed_linears.h"

namespace lathe::quantization {
namespace {

ir::ParameterPtr transposed(const ir::ParameterPtr& weight) {
  const std::vector<int64_t> shape = {weight->shape().at(1), weight->shape().at(0)};
  return std::make_shared<ir::Parameter>(weight->dtype(), shape, [weight] {
    at::Tensor value = weight->tensor().t().contiguous();
    weight->release();
    return value;
  });
}

bool is_transposed(const ir::Module& module) {
  const ir::ParameterPtr* weight = module.parameters.find("weight");
  return module.type == kTransposedLinear && weight != nullptr && (*weight)->shape().size() == 2;
}

}  // namespace

void transpose_linears(ir::Module& root, const std::function<bool(const std::string&)>& wanted) {
  for (const auto& [path, module] : ir::named_modules(root)) {
    if (!is_transposed(*module) || !wanted(path)) continue;
    ir::ParameterPtr& weight = *module->parameters.find("weight");
    module->type = "Linear";
    weight = transposed(weight);
  }
}

void transpose_linears(ir::Module& root, const QuantizerResolver& resolver) {
  transpose_linears(root, [&](const std::string& path) {
    return resolver.resolve(ir::join_path(path, "weight_quantizer"), "Linear").enabled;
  });
}

}  // namespace lathe::quantization
