#include "frontends/huggingface/leaf_modules.h"

#include <algorithm>

#include "base/error.h"

namespace lathe::frontends {

using ir::join_path;
using ir::ModulePtr;

void LeafModules::take(ir::Module& module, const std::string& path, const char* name,
                       std::vector<int64_t> shape) {
  module.parameters.set(name, weights_.take(join_path(path, name), shape));
}

ModulePtr LeafModules::linear(const std::string& path, int64_t out, int64_t in, bool bias) {
  ModulePtr module = ir::make_module("Linear");
  take(*module, path, "weight", {out, in});
  if (bias) take(*module, path, "bias", {out});
  return module;
}

ModulePtr LeafModules::conv1d_linear(const std::string& path, int64_t in, int64_t out) {
  ModulePtr module = ir::make_module("Conv1D");
  take(*module, path, "weight", {in, out});
  take(*module, path, "bias", {out});
  return module;
}

ModulePtr LeafModules::embedding(const std::string& path, int64_t rows, int64_t size) {
  ModulePtr module = ir::make_module("Embedding");
  take(*module, path, "weight", {rows, size});
  return module;
}

ModulePtr LeafModules::rms_norm(const std::string& path, int64_t size, double eps,
                                double weight_offset) {
  ModulePtr module = ir::make_module("RMSNorm");
  module->attributes.set("eps", eps);
  if (weight_offset != 0.0) module->attributes.set("weight_offset", weight_offset);
  take(*module, path, "weight", {size});
  return module;
}

ModulePtr LeafModules::layer_norm(const std::string& path, int64_t size, double eps, bool bias) {
  ModulePtr module = ir::make_module("LayerNorm");
  module->attributes.set("eps", eps);
  take(*module, path, "weight", {size});
  if (bias) take(*module, path, "bias", {size});
  return module;
}

ModulePtr LeafModules::convolution(const std::string& path, const Convolution& shape) {
  const size_t dimensions = shape.kernel.size();
  ModulePtr module = ir::make_module(dimensions == 1 ? "Conv1d" : "Conv2d");
  module->attributes.set("stride", shape.stride);
  module->attributes.set("padding", shape.padding);
  module->attributes.set("dilation", std::vector<int64_t>(dimensions, 1));
  module->attributes.set("groups", int64_t{1});
  std::vector<int64_t> weight = {shape.out, shape.in};
  weight.insert(weight.end(), shape.kernel.begin(), shape.kernel.end());
  take(*module, path, "weight", std::move(weight));
  if (shape.bias) take(*module, path, "bias", {shape.out});
  return module;
}

ModulePtr LeafModules::passive(const std::string& path) {
  constexpr size_t kMost = 1 << 14;
  constexpr std::ptrdiff_t kDeepest = 64;
  const auto tensors = weights_.take_below(path);
  if (tensors.empty()) return nullptr;
  if (tensors.size() > kMost) {
    throw_data("{}: {} tensors are below {}, which the model does not use", weights_.source_name(),
               tensors.size(), path);
  }
  ModulePtr root = ir::make_module("Parameters");
  for (const auto& [name, parameter] : tensors) {
    ir::Module* owner = root.get();
    size_t begin = 0;
    if (std::count(name.begin(), name.end(), '.') > kDeepest) {
      throw_data("{}: {}.{} has more than {} parts between dots", weights_.source_name(), path,
                 name, kDeepest);
    }
    for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', begin)) {
      const std::string part = name.substr(begin, dot - begin);
      const ModulePtr* child = owner->children.find(part);
      owner = child ? child->get() : &owner->add_child(part, ir::make_module("Parameters"));
      begin = dot + 1;
    }
    owner->parameters.set(name.substr(begin), parameter);
  }
  return root;
}

ModulePtr composite(std::string type, ir::GraphPtr graph) {
  ModulePtr module = ir::make_module(std::move(type));
  module->graph = std::move(graph);
  return module;
}

}  // namespace lathe::frontends
