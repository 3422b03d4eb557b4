#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "ir/graph.h"
#include "ir/parameter.h"

namespace lathe::ir {

class Module;
using ModulePtr = std::shared_ptr<Module>;

/// A constant of a module: sizes, epsilons, flags.
using Attribute = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>>;

/// What a leaf keeps beside its parameters (a TensorQuantizer's statistics). One owner: the module.
class ModuleState {
 public:
  virtual ~ModuleState() = default;
  /// One line for the text form and summaries.
  virtual std::string describe() const = 0;
};

/// A map that keeps the order of insertion, which is the order of execution and of printing. Most
/// are small and are searched one by one; large ones have an index.
template <typename Value>
class NamedList {
 public:
  using Item = std::pair<std::string, Value>;

  NamedList() = default;
  NamedList(NamedList&&) noexcept = default;
  NamedList& operator=(NamedList&&) noexcept = default;
  NamedList(const NamedList& other) : items_(other.items_) { rebuild_index(); }
  NamedList& operator=(const NamedList& other) {
    if (this != &other) *this = NamedList(other);
    return *this;
  }
  ~NamedList() = default;

  const Value* find(std::string_view name) const {
    if (index_) {
      const auto [begin, end] = index_->equal_range(std::hash<std::string_view>()(name));
      for (auto place = begin; place != end; ++place) {
        if (items_[place->second].first == name) return &items_[place->second].second;
      }
      return nullptr;
    }
    for (const Item& item : items_) {
      if (item.first == name) return &item.second;
    }
    return nullptr;
  }
  Value* find(std::string_view name) {
    return const_cast<Value*>(static_cast<const NamedList*>(this)->find(name));
  }
  void set(std::string_view name, Value value) {
    if (Value* existing = find(name)) {
      *existing = std::move(value);
    } else {
      items_.emplace_back(std::string(name), std::move(value));
      if (index_) {
        index_->emplace(std::hash<std::string_view>()(name), items_.size() - 1);
      } else {
        rebuild_index();
      }
    }
  }
  bool erase(std::string_view name) {
    const bool erased =
        std::erase_if(items_, [&](const Item& item) { return item.first == name; }) > 0;
    if (erased) rebuild_index();
    return erased;
  }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  size_t size() const { return items_.size(); }
  bool empty() const { return items_.empty(); }

 private:
  static constexpr size_t kSmall = 64;  // items that are searched one by one

  void rebuild_index() {
    index_.reset();
    if (items_.size() <= kSmall) return;
    index_ = std::make_unique<std::unordered_multimap<size_t, size_t>>();
    for (size_t i = 0; i < items_.size(); ++i)
      index_->emplace(std::hash<std::string_view>()(items_[i].first), i);
  }

  std::vector<Item> items_;
  std::unique_ptr<std::unordered_multimap<size_t, size_t>> index_;  // hash of a name to its place
};

/// A node of the model's tree. A leaf is a type that the executor knows how to run; a composite has
/// a Graph; a container (ModuleList) has neither and is never called.
class Module {
 public:
  explicit Module(std::string module_type) : type(std::move(module_type)) {}

  std::string type;  // "Linear", "LlamaDecoderLayer", ...
  NamedList<Attribute> attributes;
  NamedList<ParameterPtr> parameters;  // saved in checkpoints
  NamedList<ParameterPtr> buffers;     // computed (rotary frequencies): not saved
  NamedList<ModulePtr> children;
  GraphPtr graph;                      // null for leaves and containers
  std::shared_ptr<ModuleState> state;  // null for most
  bool is_block = false;  // streaming unit: a decoder layer is read, worked on and freed as one

  bool is_composite() const { return graph != nullptr; }

  /// The module at a dotted path below this one ("" is this one), or null.
  Module* find(std::string_view path);
  const Module* find(std::string_view path) const;
  /// The same; InternalError if there is none.
  Module& at(std::string_view path);
  const Module& at(std::string_view path) const;
  /// The parameter or buffer at a dotted path, or null.
  ParameterPtr find_parameter(std::string_view path) const;

  /// Adds a child and gives it back.
  Module& add_child(std::string_view name, ModulePtr child);

  /// Typed attributes; InternalError if missing or of another type.
  int64_t int_attribute(std::string_view name) const;
  double float_attribute(std::string_view name) const;
  bool has_attribute(std::string_view name) const { return attributes.find(name) != nullptr; }
};

ModulePtr make_module(std::string type);

/// The tree copied, so that a rewrite can be thrown away: graphs, parameters and states are shared
/// with the original, and modules that are shared in it are shared in the copy.
ModulePtr clone_tree(const Module& root);

/// "a" + "b" = "a.b"; "" + "b" = "b".
std::string join_path(std::string_view prefix, std::string_view name);

/// Every module below and including `root`, parents first, in order, with its path. A shared module
/// is given once, at its first path.
std::vector<std::pair<std::string, Module*>> named_modules(Module& root);
std::vector<std::pair<std::string, const Module*>> named_modules(const Module& root);

/// Every saved parameter with its path; a tied parameter is given at each of its paths.
std::vector<std::pair<std::string, ParameterPtr>> named_parameters(const Module& root);

/// Forgets all parameter values below `root` that can be read again.
void release_parameters(const Module& root);

}  // namespace lathe::ir
