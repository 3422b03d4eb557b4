#include "ir/module.h"

#include <unordered_set>

#include "base/error.h"

namespace lathe::ir {
namespace {

template <typename ModuleType>
void collect(const std::string& path, ModuleType& module, std::unordered_set<const Module*>& seen,
             std::vector<std::pair<std::string, ModuleType*>>& found) {
  found.emplace_back(path, &module);
  for (const auto& [name, child] : module.children) {
    // Only what has several owners can come twice.
    if (child.use_count() > 1 && !seen.insert(child.get()).second) continue;
    collect<ModuleType>(join_path(path, name), *child, seen, found);
  }
}

template <typename T>
const T& typed_attribute(const Module& module, std::string_view name) {
  const Attribute* attribute = module.attributes.find(name);
  check_internal(attribute != nullptr, "{} has no attribute {}", module.type, name);
  const T* value = std::get_if<T>(attribute);
  check_internal(value != nullptr, "attribute {} of {} has another type", name, module.type);
  return *value;
}

void collect_parameters(const std::string& path, const Module& module,
                        std::vector<std::pair<std::string, ParameterPtr>>& found) {
  for (const auto& [name, parameter] : module.parameters)
    found.emplace_back(join_path(path, name), parameter);
  for (const auto& [name, child] : module.children)
    collect_parameters(join_path(path, name), *child, found);
}

}  // namespace

ModulePtr clone_tree(const Module& root) {
  std::map<const Module*, ModulePtr> copies;
  const auto copy = [&](const auto& self, const Module& module) -> ModulePtr {
    ModulePtr& made = copies[&module];
    if (made) return made;
    made = std::make_shared<Module>(module);
    ModulePtr result = made;
    for (const auto& [name, child] : module.children)
      result->children.set(name, self(self, *child));
    return result;
  };
  return copy(copy, root);
}

std::string join_path(std::string_view prefix, std::string_view name) {
  if (prefix.empty()) return std::string(name);
  if (name.empty()) return std::string(prefix);
  std::string path;
  path.reserve(prefix.size() + 1 + name.size());
  path.append(prefix).append(".").append(name);
  return path;
}

const Module* Module::find(std::string_view path) const {
  const Module* module = this;
  while (!path.empty() && module != nullptr) {
    const size_t dot = path.find('.');
    const ModulePtr* child = module->children.find(path.substr(0, dot));
    module = child ? child->get() : nullptr;
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return module;
}

Module* Module::find(std::string_view path) {
  return const_cast<Module*>(static_cast<const Module*>(this)->find(path));
}

const Module& Module::at(std::string_view path) const {
  const Module* module = find(path);
  check_internal(module != nullptr, "{} has no child {}", type, path);
  return *module;
}

Module& Module::at(std::string_view path) {
  return const_cast<Module&>(static_cast<const Module*>(this)->at(path));
}

ParameterPtr Module::find_parameter(std::string_view path) const {
  const size_t dot = path.rfind('.');
  const bool nested = dot != std::string_view::npos;
  const Module* owner = nested ? find(path.substr(0, dot)) : this;
  if (owner == nullptr) return nullptr;
  const std::string_view name = nested ? path.substr(dot + 1) : path;
  if (const ParameterPtr* parameter = owner->parameters.find(name)) return *parameter;
  if (const ParameterPtr* buffer = owner->buffers.find(name)) return *buffer;
  return nullptr;
}

Module& Module::add_child(std::string_view name, ModulePtr child) {
  Module& added = *child;
  children.set(name, std::move(child));
  return added;
}

int64_t Module::int_attribute(std::string_view name) const {
  return typed_attribute<int64_t>(*this, name);
}
double Module::float_attribute(std::string_view name) const {
  return typed_attribute<double>(*this, name);
}

ModulePtr make_module(std::string type) { return std::make_shared<Module>(std::move(type)); }

std::vector<std::pair<std::string, Module*>> named_modules(Module& root) {
  std::unordered_set<const Module*> seen = {&root};
  std::vector<std::pair<std::string, Module*>> found;
  collect<Module>("", root, seen, found);
  return found;
}

std::vector<std::pair<std::string, const Module*>> named_modules(const Module& root) {
  std::unordered_set<const Module*> seen = {&root};
  std::vector<std::pair<std::string, const Module*>> found;
  collect<const Module>("", root, seen, found);
  return found;
}

std::vector<std::pair<std::string, ParameterPtr>> named_parameters(const Module& root) {
  std::vector<std::pair<std::string, ParameterPtr>> found;
  collect_parameters("", root, found);
  return found;
}

void release_parameters(const Module& root) {
  for (const auto& [path, parameter] : named_parameters(root)) parameter->release();
}

}  // namespace lathe::ir
