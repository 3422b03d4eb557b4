#include "frontends/torch_export/module_tree.h"

#include <algorithm>

#include "base/error.h"
#include "ir/text.h"

namespace lathe::frontends::torch_export {
namespace {

constexpr size_t kDeepest = 64;
// NamedList searches one by one: a file whose names make it quadratic is refused.
constexpr size_t kWidest = 1 << 14;
constexpr int kMostPaths = 1'000'000;

bool is_number(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

/// Whether `target` is `module` or lies below it.
bool reaches(const ir::Module& module, const ir::Module* target) {
  const auto below = ir::named_modules(module);
  return std::any_of(below.begin(), below.end(),
                     [&](const auto& item) { return item.second == target; });
}

double count_paths(const ir::Module& module,
                   std::unordered_map<const ir::Module*, double>& counts) {
  if (const auto known = counts.find(&module); known != counts.end()) return known->second;
  double count = 1;
  for (const auto& [name, child] : module.children) count += count_paths(*child, counts);
  return counts[&module] = count;
}

/// Whether two modules are one under two names: the same parameters in the same places and, if the
/// second is called, the same content.
bool are_one(const ir::Module& first, const ir::Module& second, bool is_called) {
  if (ir::named_parameters(first) != ir::named_parameters(second)) return false;
  return !is_called || ir::print(first) == ir::print(second);
}

}  // namespace

std::pair<std::string, std::string> split_path(const std::string& path) {
  const size_t dot = path.rfind('.');
  if (dot == std::string::npos) return {"", path};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

bool is_below(std::string_view path, std::string_view prefix) {
  if (prefix.empty() || path == prefix) return true;
  return path.size() > prefix.size() && path.starts_with(prefix) && path[prefix.size()] == '.';
}

std::string relative_path(const std::string& path, const std::string& prefix) {
  if (prefix.empty()) return path;
  return path.size() == prefix.size() ? "" : path.substr(prefix.size() + 1);
}

ModuleTree::ModuleTree(std::string source_name) : source_name_(std::move(source_name)) {
  modules_.emplace("", ir::make_module(""));
  paths_.emplace_back();
}

const ir::ModulePtr& ModuleTree::at(const std::string& path) {
  const auto found = modules_.find(path);
  if (found != modules_.end()) return found->second;
  const auto [parent_path, name] = split_path(path);
  const auto depth = static_cast<size_t>(std::count(path.begin(), path.end(), '.'));
  if (name.empty() || path.front() == '.' || depth >= kDeepest) {
    throw_data("{}: a module's path must have 1 to {} non-empty parts between dots, found \"{}\"",
               source_name_, kDeepest, path.substr(0, 200));
  }
  const ir::ModulePtr parent = at(parent_path);
  if (parent->children.size() >= kWidest)
    throw_data("{}: {} lies among more than {} modules", source_name_, path, kWidest);
  ir::ModulePtr module = ir::make_module("");
  parent->add_child(name, module);
  paths_.push_back(path);
  return modules_.emplace(path, std::move(module)).first->second;
}

void ModuleTree::add_parameter(const Parameters::Entry& entry) {
  const auto [path, name] = split_path(entry.name);
  if (name.empty()) throw_data("{}: a tensor without a name", source_name_);
  ir::Module& owner = *at(path);
  auto& list = entry.saved ? owner.parameters : owner.buffers;
  if (list.size() >= kWidest)
    throw_data("{}: {} lies among more than {} tensors", source_name_, entry.name, kWidest);
  list.set(name, entry.parameter);
}

bool ModuleTree::add_alias(const std::string& owner, const std::string& name,
                           const std::string& path) {
  const ir::ModulePtr module = at(path);
  if (reaches(*module, at(owner).get())) return false;
  at(owner)->add_child(name, module);
  return true;
}

void ModuleTree::check_paths() const {
  std::unordered_map<const ir::Module*, double> counts;
  if (count_paths(*modules_.at(""), counts) > kMostPaths) {
    throw_data("{}: modules are shared so often that there are more than {} paths to them",
               source_name_, kMostPaths);
  }
}

void ModuleTree::name_types() {
  for (const std::string& path : paths_) {
    ir::Module& module = *modules_.at(path);
    if (!module.type.empty()) continue;
    const bool numbered = !module.children.empty() && module.parameters.empty() &&
                          std::all_of(module.children.begin(), module.children.end(),
                                      [](const auto& child) { return is_number(child.first); });
    module.type = numbered ? "ModuleList" : "Module";
  }
}

void ModuleTree::join_shared(const std::unordered_set<std::string>& called) {
  // Called modules first: they say what the others are.
  std::vector<std::string> order = paths_;
  std::stable_partition(order.begin(), order.end(),
                        [&](const std::string& path) { return called.contains(path); });
  std::unordered_map<const ir::Parameter*, std::vector<std::string>> owners;
  for (const std::string& path : order) {
    const auto parameters = ir::named_parameters(*modules_.at(path));
    if (path.empty() || parameters.empty()) continue;
    std::vector<std::string>& candidates = owners[parameters[0].second.get()];
    const auto twin =
        std::find_if(candidates.begin(), candidates.end(), [&](const std::string& candidate) {
          return !is_below(path, candidate) && !is_below(candidate, path) &&
                 are_one(*modules_.at(candidate), *modules_.at(path), called.contains(path));
        });
    if (twin == candidates.end()) {
      candidates.push_back(path);
      continue;
    }
    const auto [parent, name] = split_path(path);
    add_alias(parent, name, *twin);
  }
}

}  // namespace lathe::frontends::torch_export
