#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lathe {

namespace ir {
class Module;
}

/// How a symbol shows outside its module: in the tensor that comes in, in the one that goes out, or
/// not at all (a kernel's size).
enum class Flow { kNone, kIncoming, kOutgoing };

class ConcatSymbol;

/// The units of a symbol that Lathe's own rules found: channels, heads, experts.
struct SymbolUnits {
  struct Dimension {
    std::string tensor;  // "model.layers.0.self_attn.q_proj.weight"
    int64_t dim;
  };
  int64_t count = 0;
  std::string role;  // "kv_heads", "head_dim", "rotary_pairs", "experts", ...; "" for widths
  /// Parameters and buffers that lose a slice, or several, with each unit.
  std::vector<Dimension> tensors = {};
  /// Norms take a mean over the units: what is left has other statistics.
  bool has_statistics = false;
};

/// A size of a module that may be changed: out_features, in_channels, kernel_size, ...
///
/// It is in one of four states: free (nothing decided), searchable (whoever owns it may choose its
/// value), dynamic (it follows its parent), constant. Symbols that are linked refer to each other
/// and must live equally long; a SymMap takes care of that.
class Symbol {
 public:
  struct Options {
    bool searchable = false;
    /// Whether units may be put in another order (by importance).
    bool sortable = true;
    Flow flow = Flow::kNone;
    /// Names of one and the same dimension of the incoming or outgoing tensor: {1, -3} is the C of
    /// NCHW. Empty if and only if flow is kNone.
    std::set<int64_t> elastic_dims = {};
  };

  Symbol() = default;
  /// UserError if elastic_dims and flow do not fit each other.
  explicit Symbol(Options options);
  virtual ~Symbol() = default;
  Symbol(const Symbol&) = delete;
  Symbol& operator=(const Symbol&) = delete;

  bool is_free() const { return !is_dynamic() && !is_constant() && !is_searchable(); }
  virtual bool is_searchable() const { return searchable_; }
  bool is_dynamic() const { return parent_ != nullptr; }
  virtual bool is_constant() const { return constant_; }

  Flow flow() const { return flow_; }
  bool is_incoming() const { return flow_ == Flow::kIncoming; }
  bool is_outgoing() const { return flow_ == Flow::kOutgoing; }
  bool is_cross_layer() const { return flow_ != Flow::kNone; }
  /// Part of a tensor between layers, but linked to nothing.
  bool is_dangling() const { return is_cross_layer() && is_free(); }
  const std::set<int64_t>& elastic_dims() const { return elastic_dims_; }

  /// Whether all symbols that it is linked with can be sorted.
  virtual bool is_sortable() const;
  void set_sortable(bool sortable) { sortable_ = sortable; }

  Symbol* parent() const { return parent_; }
  const std::vector<Symbol*>& dependents() const { return dependents_; }
  /// A constant symbol is no part of a concatenation any more.
  void leave_concatenation();
  /// The symbol whose value this one has in the end: the last parent, or the concatenation that it
  /// is a part of. Itself if there is none.
  const Symbol* leader() const;
  /// The concatenation that it is a part of, or null.
  ConcatSymbol* concatenation() const { return concatenation_; }

  /// Known of symbols that Lathe's own rules found searchable; else null.
  const SymbolUnits* units() const { return units_.get(); }
  void set_units(std::shared_ptr<const SymbolUnits> units) { units_ = std::move(units); }

  /// Makes this symbol follow `parent`. UserError if it is neither free nor searchable or if that
  /// would close a circle. A part of a concatenation follows nobody: it and a concatenation that it
  /// should follow are both disabled.
  virtual void link_to(Symbol& parent);

  /// Makes it constant, with all symbols that it is linked with; the links are gone then.
  void disable();

 protected:
  friend class ConcatSymbol;
  /// The symbols that disable() spreads to.
  virtual std::vector<Symbol*> linked() const;
  virtual void become_constant();
  bool tree_is_sortable() const;

  bool searchable_ = false;
  bool sortable_ = true;
  bool constant_ = false;
  Flow flow_ = Flow::kNone;
  std::set<int64_t> elastic_dims_;
  Symbol* parent_ = nullptr;
  std::vector<Symbol*> dependents_;
  ConcatSymbol* concatenation_ = nullptr;
  std::shared_ptr<const SymbolUnits> units_;
};

/// The number of blocks of a Sequential: blocks that can be left out are its choices.
class SymDepth : public Symbol {
 public:
  explicit SymDepth(int64_t max_depth);

  int64_t max_depth() const { return static_cast<int64_t>(skippable_.size()); }
  /// max_depth less the blocks that can be skipped.
  int64_t min_depth() const;
  bool is_skippable(int64_t index) const { return skippable_.at(static_cast<size_t>(index)); }
  void set_skippable(int64_t index, bool skippable);
  std::vector<int64_t> skippable() const;

  /// UserError: depths are not linked.
  void link_to(Symbol& parent) override;

 protected:
  void become_constant() override;

 private:
  std::vector<bool> skippable_;
};

/// A size that is the sum of other sizes: the channels of torch.cat's value. It can be searched if
/// one of its parts can, and is constant if all of them are.
class ConcatSymbol : public Symbol {
 public:
  /// The parts in order; one may come several times. They must not be part of another
  /// concatenation, unless they are constant.
  ConcatSymbol(std::vector<std::shared_ptr<Symbol>> parts, Flow flow,
               std::set<int64_t> elastic_dims);

  const std::vector<std::shared_ptr<Symbol>>& parts() const { return parts_; }
  /// Replaces parts that are concatenations themselves by their parts.
  void flatten();
  /// Takes the place of a symbol that follows it: has its flow, and its followers.
  void replace(Symbol& follower);

  bool is_searchable() const override;
  bool is_constant() const override;
  bool is_sortable() const override;
  /// Two concatenations cannot follow each other: both are disabled.
  void link_to(Symbol& parent) override;

 protected:
  std::vector<Symbol*> linked() const override;

 private:
  std::vector<std::shared_ptr<Symbol>> parts_;
};

/// What a module's rule says of it.
struct SymInfo {
  /// The value has the shape of the input: a block of such modules and a sum can be skipped.
  bool is_shape_preserving = false;
  std::vector<std::pair<std::string, std::shared_ptr<Symbol>>> symbols = {};

  SymInfo& add(std::string name, Symbol::Options options);
  Symbol* find(std::string_view name) const;
};

/// What a rule can look at.
class ModuleView {
 public:
  explicit ModuleView(const ir::Module& module) : module_(&module) {}

  const std::string& type() const;
  /// Sizes of a parameter; empty if there is none.
  std::vector<int64_t> shape(std::string_view parameter) const;
  int64_t attribute(std::string_view name, int64_t otherwise) const;
  size_t num_children() const;

 private:
  const ir::Module* module_;
};

/// Which types of modules have which symbols. A module whose own type is not registered, but that
/// computes what a registered one does (one linear or convolution of its own parameters, a chain of
/// its children), has the symbols of that type.
class SymRegistry {
 public:
  using Rule = std::function<SymInfo(const ModuleView&)>;

  /// Linear, convolutions, norms, Sequential.
  static SymRegistry builtin();

  /// `is_leaf`: the module is not looked into.
  void add(std::string type, Rule rule, bool is_leaf = true);
  void add(std::span<const std::string_view> types, const Rule& rule, bool is_leaf = true);
  /// UserError if the type is not registered.
  void remove(std::string_view type);
  const Rule* find(std::string_view type) const;

  /// Types that are not looked into, whether they have a rule or not.
  void add_leaf(std::string type) { leaves_.insert(std::move(type)); }
  void remove_leaf(std::string_view type) { leaves_.erase(std::string(type)); }
  bool is_leaf(std::string_view type) const { return leaves_.contains(std::string(type)); }

 private:
  std::unordered_map<std::string, Rule> rules_;
  std::set<std::string> leaves_;
};

}  // namespace lathe
