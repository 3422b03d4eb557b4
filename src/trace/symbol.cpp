#include "lathe/symbol.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"

namespace lathe {
namespace {

template <typename Range, typename Predicate>
bool all_of(const Range& range, const Predicate& predicate) {
  return std::all_of(range.begin(), range.end(), predicate);
}

template <typename Range, typename Predicate>
bool any_of(const Range& range, const Predicate& predicate) {
  return std::any_of(range.begin(), range.end(), predicate);
}

}  // namespace

Symbol::Symbol(Options options)
    : searchable_(options.searchable),
      sortable_(options.sortable),
      flow_(options.flow),
      elastic_dims_(std::move(options.elastic_dims)) {
  if (is_cross_layer() == elastic_dims_.empty()) {
    throw_user(
        "a symbol needs elastic dimensions if it is incoming or outgoing, and only then; found {}",
        elastic_dims_.size());
  }
}

const Symbol* Symbol::leader() const {
  const Symbol* symbol = this;
  while (true) {
    if (symbol->parent_ != nullptr) {
      symbol = symbol->parent_;
    } else if (symbol->concatenation_ != nullptr && !symbol->constant_) {
      symbol = symbol->concatenation_;
    } else {
      return symbol;
    }
  }
}

void Symbol::leave_concatenation() {
  check_internal(is_constant(), "only a constant symbol can leave its concatenation");
  concatenation_ = nullptr;
}

void Symbol::link_to(Symbol& parent) {
  if (concatenation_ != nullptr) {
    disable();
    parent.disable();
    return;
  }
  if (is_dynamic() || is_constant())
    throw_user("a symbol that is {} cannot be linked", is_constant() ? "constant" : "linked");
  if (parent.is_constant()) throw_user("a symbol cannot follow one that is constant");
  for (const Symbol* above = &parent; above != nullptr; above = above->parent_) {
    if (above == this) throw_user("a symbol cannot follow one that follows it");
  }
  searchable_ = false;
  parent_ = &parent;
  parent.dependents_.push_back(this);
}

std::vector<Symbol*> Symbol::linked() const {
  std::vector<Symbol*> symbols = dependents_;
  if (parent_ != nullptr) symbols.push_back(parent_);
  return symbols;
}

void Symbol::become_constant() {
  parent_ = nullptr;
  dependents_.clear();
  searchable_ = false;
  sortable_ = false;
  constant_ = true;
}

void Symbol::disable() {
  std::vector<Symbol*> found = {this};
  std::unordered_set<Symbol*> seen = {this};
  for (size_t i = 0; i < found.size(); ++i) {
    for (Symbol* symbol : found[i]->linked()) {
      if (seen.insert(symbol).second) found.push_back(symbol);
    }
  }
  for (Symbol* symbol : found) symbol->become_constant();
}

bool Symbol::tree_is_sortable() const {
  std::vector<const Symbol*> found = {this};
  std::unordered_set<const Symbol*> seen = {this};
  for (size_t i = 0; i < found.size(); ++i) {
    if (!found[i]->sortable_) return false;
    for (const Symbol* symbol : found[i]->Symbol::linked()) {
      if (seen.insert(symbol).second) found.push_back(symbol);
    }
  }
  return true;
}

bool Symbol::is_sortable() const { return tree_is_sortable(); }

SymDepth::SymDepth(int64_t max_depth) : Symbol(Options{.searchable = true}) {
  skippable_.resize(static_cast<size_t>(max_depth), false);
}

int64_t SymDepth::min_depth() const {
  return max_depth() - std::count(skippable_.begin(), skippable_.end(), true);
}

void SymDepth::set_skippable(int64_t index, bool skippable) {
  skippable_.at(static_cast<size_t>(index)) = skippable;
}

std::vector<int64_t> SymDepth::skippable() const {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < max_depth(); ++i) {
    if (is_skippable(i)) indices.push_back(i);
  }
  return indices;
}

void SymDepth::link_to(Symbol&) { throw_user("a depth cannot be linked to another symbol"); }

void SymDepth::become_constant() {
  Symbol::become_constant();
  std::fill(skippable_.begin(), skippable_.end(), false);
}

ConcatSymbol::ConcatSymbol(std::vector<std::shared_ptr<Symbol>> parts, Flow flow,
                           std::set<int64_t> elastic_dims)
    : Symbol(Options{.flow = flow, .elastic_dims = std::move(elastic_dims)}),
      parts_(std::move(parts)) {
  if (parts_.empty()) throw_user("a concatenation needs at least one part");
  for (const auto& part : parts_) {
    const bool is_used = part->concatenation_ != nullptr && part->concatenation_ != this;
    if (is_used && !part->is_constant())
      throw_user("a symbol can be part of one concatenation only");
    if (dynamic_cast<ConcatSymbol*>(part.get()) == nullptr) part->concatenation_ = this;
  }
}

void ConcatSymbol::flatten() {
  std::vector<std::shared_ptr<Symbol>> flat;
  for (const auto& part : parts_) {
    auto* nested = dynamic_cast<ConcatSymbol*>(part.get());
    if (nested == nullptr) {
      flat.push_back(part);
      continue;
    }
    nested->flatten();
    for (const auto& inner : nested->parts_) {
      inner->concatenation_ = this;
      flat.push_back(inner);
    }
  }
  parts_ = std::move(flat);
}

void ConcatSymbol::replace(Symbol& follower) {
  check_internal(follower.parent_ == this, "a concatenation replaces a symbol that follows it");
  std::erase(dependents_, &follower);
  for (Symbol* dependent : follower.dependents_) {
    dependent->parent_ = this;
    dependents_.push_back(dependent);
  }
  flow_ = follower.flow_;
  follower.parent_ = nullptr;
  follower.dependents_.clear();
}

bool ConcatSymbol::is_searchable() const {
  return any_of(parts_, [](const auto& part) { return part->is_searchable(); });
}

bool ConcatSymbol::is_constant() const {
  return all_of(parts_, [](const auto& part) { return part->is_constant(); });
}

/// Its own units are those of its parts: it is enough if one of them can be sorted.
bool ConcatSymbol::is_sortable() const {
  return tree_is_sortable() && any_of(parts_, [](const auto& part) { return part->is_sortable(); });
}

void ConcatSymbol::link_to(Symbol& parent) {
  disable();
  parent.disable();
}

std::vector<Symbol*> ConcatSymbol::linked() const {
  std::vector<Symbol*> symbols = Symbol::linked();
  for (const auto& part : parts_) symbols.push_back(part.get());
  return symbols;
}

SymInfo& SymInfo::add(std::string name, Symbol::Options options) {
  symbols.emplace_back(std::move(name), std::make_shared<Symbol>(std::move(options)));
  return *this;
}

Symbol* SymInfo::find(std::string_view name) const {
  for (const auto& [symbol_name, symbol] : symbols) {
    if (symbol_name == name) return symbol.get();
  }
  return nullptr;
}

}  // namespace lathe
