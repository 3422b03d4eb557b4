#include "parity/trace/masked_run.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <random>

namespace lathe::trace {
namespace {

const char* const kMaskedNorm = "MaskedNorm";
const char* const kMaskedRouter = "MaskedRouter";

at::Tensor random_tensor(const std::vector<int64_t>& sizes, uint64_t seed, double mean,
                         double deviation) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(mean, deviation);
  at::Tensor tensor = at::zeros(sizes, at::kFloat);
  float* values = tensor.mutable_data_ptr<float>();
  for (int64_t i = 0; i < tensor.numel(); ++i) values[i] = static_cast<float>(normal(random));
  return tensor;
}

/// The module with slices of its parameters, of the type that it has.
ir::Module slice_of(const ir::Module& module, const at::Tensor& positions) {
  ir::Module slice(std::get<std::string>(*module.attributes.find("masked_type")));
  slice.attributes = module.attributes;
  for (const auto& [name, parameter] : module.parameters) {
    if (parameter->shape().empty()) continue;
    slice.parameters.set(
        name, std::make_shared<ir::Parameter>(at::index_select(parameter->tensor(), 0, positions)));
  }
  if (slice.has_attribute("normalized_shape"))
    slice.attributes.set("normalized_shape", std::vector<int64_t>{positions.numel()});
  if (slice.has_attribute("masked_groups"))
    slice.attributes.set("num_groups", slice.int_attribute("masked_groups"));
  for (const char* name : {"masked_groups", "masked_type", "masked_dim", "kept"})
    slice.attributes.erase(name);
  return slice;
}

at::Tensor kept_of(const ir::Module& module) {
  return at::tensor(std::get<std::vector<int64_t>>(*module.attributes.find("kept")));
}

c10::IValue run_masked_norm(const ir::Module& module, std::span<const c10::IValue> arguments) {
  const at::Tensor& x = arguments[0].toTensor();
  const at::Tensor positions = kept_of(module);
  const int64_t dim = module.int_attribute("masked_dim");
  const ir::Module slice = slice_of(module, positions);
  const c10::IValue part = at::index_select(x, dim, positions);
  const ops::LeafTable leaves = ops::LeafTable::builtin();
  const at::Tensor result =
      (*leaves.find(slice.type))(slice, std::span<const c10::IValue>(&part, 1)).toTensor();
  return at::zeros_like(x).index_copy(dim, positions, result);
}

c10::IValue run_masked_router(const ir::Module& module, std::span<const c10::IValue> arguments) {
  const at::Tensor positions = kept_of(module);
  ir::Module plain(std::get<std::string>(*module.attributes.find("masked_type")));
  plain.attributes = module.attributes;
  plain.attributes.erase("masked_type");
  plain.attributes.erase("kept");
  const c10::IValue part = at::index_select(arguments[0].toTensor(), 1, positions);
  const ops::LeafTable leaves = ops::LeafTable::builtin();
  const c10::IValue routes =
      (*leaves.find(plain.type))(plain, std::span<const c10::IValue>(&part, 1));
  const auto& items = routes.toTupleRef().elements();
  const at::Tensor chosen = items[1].toTensor();
  return std::make_tuple(items[0].toTensor(),
                         at::index_select(positions, 0, chosen.flatten()).view_as(chosen));
}

void zero_units(ir::Module& model, const UnitResult& units, const KeptUnits& kept) {
  for (const auto& [path, module] : ir::named_modules(model)) {
    for (const auto* list : {&module->parameters, &module->buffers}) {
      for (const auto& [name, parameter] : *list) {
        const auto axes = units.parameters.find(parameter.get());
        if (axes == units.parameters.end()) continue;
        at::Tensor value = parameter->tensor();
        for (size_t dim = 0; dim < axes->second.size(); ++dim) {
          const auto positions = kept_positions(units.axes, axes->second[dim], kept);
          const at::Tensor index = at::tensor(positions);
          const auto d = static_cast<int64_t>(dim);
          value = at::zeros_like(value).index_copy(d, index, at::index_select(value, d, index));
        }
        parameter->set(value);
      }
    }
  }
}

/// Norms and routers whose axis loses units look at the others.
void mask_statistics(ir::Module& model, const UnitResult& units, const KeptUnits& kept) {
  std::unordered_map<const ir::Module*, ir::Module*> modules;
  for (const auto& [path, module] : ir::named_modules(model)) modules[module] = module;
  for (const SymbolAxis& size : units.symbols) {
    ir::Module& module = *modules.at(size.module);
    const bool is_norm = module.type.ends_with("Norm");
    if (!is_norm || !size.name.starts_with("num_")) continue;
    const auto positions = kept_positions(units.axes, size.axis, kept);
    if (static_cast<int64_t>(positions.size()) == units.axes.size(size.axis)) continue;
    if (module.type == "GroupNorm") {
      const AxisId groups = units.axes.parts(size.axis).at(0);
      const auto left = kept.find(units.axes.find(groups));
      const int64_t count =
          left == kept.end() ? units.axes.size(groups) : static_cast<int64_t>(left->second.size());
      module.attributes.set("masked_groups", count);
    }
    module.attributes.set("masked_type", module.type);
    module.attributes.set("masked_dim", module.type == "GroupNorm" ? int64_t{1} : int64_t{-1});
    module.attributes.set("kept", positions);
    module.type = kMaskedNorm;
  }
  for (const ExpertUse& use : units.experts) {
    const auto found = kept.find(units.axes.find(use.axis));
    if (found == kept.end()) continue;
    for (const auto& [name, child] : modules.at(use.module)->children) {
      if (child->type != "TopKRouter") continue;
      child->attributes.set("masked_type", child->type);
      child->attributes.set("kept", found->second);
      child->type = kMaskedRouter;
    }
  }
}

ops::LeafTable masked_leaves() {
  ops::LeafTable leaves = ops::LeafTable::builtin();
  leaves.add(kMaskedNorm, run_masked_norm);
  leaves.add(kMaskedRouter, run_masked_router);
  return leaves;
}

ir::ModulePtr copy(const ir::Module& module,
                   std::unordered_map<const void*, std::shared_ptr<void>>& known) {
  if (const auto found = known.find(&module); found != known.end())
    return std::static_pointer_cast<ir::Module>(found->second);
  ir::ModulePtr twin = ir::make_module(module.type);
  known[&module] = twin;
  twin->attributes = module.attributes;
  twin->graph = module.graph;
  const auto copy_parameter = [&](const ir::ParameterPtr& parameter) {
    auto& value = known[parameter.get()];
    if (!value) value = std::make_shared<ir::Parameter>(parameter->tensor().clone());
    return std::static_pointer_cast<ir::Parameter>(value);
  };
  for (const auto& [name, parameter] : module.parameters)
    twin->parameters.set(name, copy_parameter(parameter));
  for (const auto& [name, buffer] : module.buffers) twin->buffers.set(name, copy_parameter(buffer));
  for (const auto& [name, child] : module.children) twin->add_child(name, copy(*child, known));
  return twin;
}

}  // namespace

void fill_parameters(ir::Module& model, uint64_t seed) {
  for (const auto& [path, module] : ir::named_modules(model)) {
    for (const auto& [name, parameter] : module->parameters) {
      const auto& sizes = parameter->shape();
      const bool is_positive = name == "running_var";
      const double fan = sizes.size() > 1 ? static_cast<double>(parameter->numel() / sizes[0]) : 4;
      at::Tensor value =
          random_tensor(sizes, ++seed, sizes.size() > 1 ? 0 : 0.5, 1 / std::sqrt(fan));
      parameter->set(is_positive ? value.abs().add(0.5) : value);
    }
  }
}

ir::ModulePtr copy_model(const ir::Module& model) {
  std::unordered_map<const void*, std::shared_ptr<void>> known;
  return copy(model, known);
}

MaskedModel::MaskedModel(ir::ModulePtr model, const UnitResult& units, const KeptUnits& kept)
    : model_(std::move(model)), interpreter_(masked_leaves()) {
  zero_units(*model_, units, kept);
  mask_statistics(*model_, units, kept);
}

at::Tensor MaskedModel::run(const ops::NamedTensors& inputs) {
  const at::NoGradGuard no_gradients;
  return ops::run_model(interpreter_, *model_, inputs).begin()->second;
}

at::Tensor run(const ir::Module& model, const ops::NamedTensors& inputs) {
  const at::NoGradGuard no_gradients;
  ops::Interpreter interpreter;
  return ops::run_model(interpreter, model, inputs).begin()->second;
}

}  // namespace lathe::trace
