#include "unit/export/model_tree.h"

namespace lathe::testing {
namespace {

bool is_projection(std::string_view name) { return name.ends_with("_proj"); }

ir::ModulePtr module_called(std::string_view name, std::string_view parent) {
  const bool linear = is_projection(name) || name == "lm_head";
  auto module = ir::make_module(linear ? "Linear" : "Module");
  module->is_block = parent == "layers";
  return module;
}

}  // namespace

void put_parameter(ir::Module& root, std::string_view path, ir::ParameterPtr parameter) {
  ir::Module* module = &root;
  std::string_view parent;
  for (size_t dot = path.find('.'); dot != path.npos; dot = path.find('.')) {
    const std::string_view name = path.substr(0, dot);
    const ir::ModulePtr* child = module->children.find(name);
    module = child ? child->get() : &module->add_child(name, module_called(name, parent));
    parent = name;
    path.remove_prefix(dot + 1);
  }
  module->parameters.set(path, std::move(parameter));
}

void put_tensor(ir::Model& model, const std::string& name, ir::ParameterPtr parameter) {
  put_parameter(*model.root, name, parameter);
  model.tensors.push_back({.name = name, .path = name, .dropped = {}, .parameter = parameter});
}

std::vector<std::string> projection_paths(const ir::Model& model) {
  std::vector<std::string> paths;
  const ir::Module& root = *model.root;
  for (const auto& [path, module] : ir::named_modules(root)) {
    const size_t dot = path.rfind('.');
    if (dot != path.npos && is_projection(std::string_view(path).substr(dot + 1))) {
      paths.push_back(path);
    }
  }
  return paths;
}

}  // namespace lathe::testing
