#include "trace/dependency_rules.h"

#include <algorithm>
#include <tuple>

#include "trace/operator_classes.h"

namespace lathe::trace {
namespace {

using ir::Argument;
using ir::NodeKind;
using Dims = std::set<int64_t>;
using Symbols = std::vector<Symbol*>;

bool overlap(const Dims& a, const Dims& b) {
  return std::any_of(a.begin(), a.end(), [&](int64_t dim) { return b.contains(dim); });
}

/// Pairs of symbols whose dimensions are the same; empty unless every symbol has a partner. Modules
/// have one or two such symbols.
std::vector<std::pair<Symbol*, Symbol*>> match(const Symbols& first, const Symbols& second) {
  if (first.empty() || first.size() != second.size() || first.size() > 2) return {};
  const auto fits = [&](size_t i, size_t j) {
    return overlap(first[i]->elastic_dims(), second[j]->elastic_dims());
  };
  if (first.size() == 1) {
    if (!fits(0, 0)) return {};
    return {{first[0], second[0]}};
  }
  if (fits(0, 0) && fits(1, 1)) return {{first[0], second[0]}, {first[1], second[1]}};
  if (fits(0, 1) && fits(1, 0)) return {{first[0], second[1]}, {first[1], second[0]}};
  return {};
}

/// Where the dimension of a value comes from: the first value of a chain of values that pass it on.
struct Source {
  ValueId id;
  SymInfo* info = nullptr;  // of the module that made it, if it has symbols
  bool is_free = false;
  int priority = 0;  // concatenations lead
};

template <typename Predicate>
Symbols symbols_of(const SymInfo* info, const Predicate& wanted) {
  Symbols found;
  if (info == nullptr) return found;
  for (const auto& [name, symbol] : info->symbols) {
    if (wanted(*symbol)) found.push_back(symbol.get());
  }
  return found;
}

Symbols outgoing(const SymInfo* info) {
  return symbols_of(info, [](const Symbol& symbol) { return symbol.is_outgoing(); });
}
Symbols searchable_outgoing(const SymInfo* info) {
  return symbols_of(info, [](const Symbol& s) { return s.is_outgoing() && s.is_searchable(); });
}
Symbols dangling(const SymInfo* info) {
  return symbols_of(info, [](const Symbol& symbol) { return symbol.is_dangling(); });
}
bool has_incoming(const SymInfo& info) {
  return !symbols_of(&info, [](const Symbol& symbol) { return symbol.is_incoming(); }).empty();
}

void disable_all(const Symbols& symbols) {
  for (Symbol* symbol : symbols) symbol->disable();
}

/// `first` may have become constant when others were tied to it.
void tie(Symbol& other, Symbol& first) {
  if (first.is_constant()) {
    other.disable();
  } else {
    other.link_to(first);
  }
}

/// A concatenation of values of this graph.
struct Concatenation {
  SymInfo info;  // one outgoing symbol
  std::shared_ptr<ConcatSymbol> symbol;
  std::vector<ValueId> inputs;
  int64_t dim;
};

class GraphProcessor {
 public:
  GraphProcessor(const FlatGraph& graph, const ir::Module& root, const GraphCollection& graphs,
                 SymbolTable& table)
      : graph_(graph), root_(root), graphs_(graphs), table_(table) {
    parents_.assign(graph.nodes().size(), kNoValue);
    sources_.resize(graph.nodes().size());
  }

  void run() {
    for (ValueId id = 0; id < graph_.nodes().size(); ++id) {
      const FlatNode& node = graph_.node(id);
      inputs_ = node.inputs;
      const ValueId out = out_argument(node);
      std::erase(inputs_, out);
      process(id, node);
      if (out != kNoValue) join(out, id);
    }
    if (!graph_.nodes().empty() && graph_.nodes().back().inputs.empty()) fix_unread();
    finish_concatenations();
  }

 private:
  // --- where values come from ---

  ValueId root(ValueId id) {
    while (parents_[id] != id) {
      parents_[id] = parents_[parents_[id]];
      id = parents_[id];
    }
    return id;
  }
  Source& source(ValueId id) { return sources_[root(id)]; }

  /// The value `id`, and all that come from where it does, now come from where `other` does.
  void join(ValueId id, ValueId other) {
    const ValueId from = parents_[id] == kNoValue ? id : root(id);
    const ValueId to = root(other);
    parents_[from] = to;
    const auto moved = by_first_.find(from);
    if (moved == by_first_.end() || from == to) return;
    std::vector<Concatenation*> concatenations = std::move(moved->second);
    by_first_.erase(moved);
    std::vector<Concatenation*>& others = by_first_[to];
    others.insert(others.end(), concatenations.begin(), concatenations.end());
  }

  void start(ValueId id, SymInfo* info, bool is_free, int priority = 0) {
    parents_[id] = id;
    sources_[id] = {id, info, is_free, priority};
  }

  std::vector<ValueId> roots(const std::vector<ValueId>& ids) {
    std::vector<ValueId> found;
    for (const ValueId id : ids) {
      if (std::find(found.begin(), found.end(), root(id)) == found.end()) found.push_back(root(id));
    }
    return found;
  }

  // --- the three things that can happen to values ---

  void fix(ValueId id) {
    Source& fixed = source(id);
    fixed.is_free = false;
    disable_all(searchable_outgoing(fixed.info));
  }

  void fix_all(const std::vector<ValueId>& ids) {
    for (const ValueId id : ids) fix(id);
  }

  /// Nobody reads what this graph gives: what is left over in it is its value.
  void fix_unread() {
    std::vector<bool> is_read(graph_.nodes().size(), false);
    for (const FlatNode& node : graph_.nodes()) {
      for (const ValueId input : node.inputs) is_read[input] = true;
    }
    for (ValueId id = 0; id < graph_.nodes().size(); ++id) {
      if (!is_read[id]) fix(id);
    }
  }

  void process_boundary(ValueId id, SymInfo* info = nullptr) {
    fix_all(inputs_);
    start(id, info, false);
  }

  /// The value that the others follow: a concatenation or a part of one if there is any, else the
  /// first in the graph's order.
  ValueId leader_of(const std::vector<ValueId>& ids) {
    const auto rank = [this](ValueId id) {
      const Symbols symbols = searchable_outgoing(sources_[id].info);
      const bool is_part = std::any_of(symbols.begin(), symbols.end(), [](const Symbol* symbol) {
        return symbol->concatenation() != nullptr;
      });
      return std::tuple(-sources_[id].priority, !is_part, id);
    };
    return *std::min_element(ids.begin(), ids.end(),
                             [&](ValueId a, ValueId b) { return rank(a) < rank(b); });
  }

  /// Ties the dimensions of values to each other; if they do not fit, fixes them all. Gives the
  /// leader, or nothing.
  ValueId synchronize(const std::vector<ValueId>& ids) {
    if (ids.empty()) return kNoValue;
    const std::vector<ValueId> sources = roots(ids);
    const ValueId leader = leader_of(sources);
    const Symbols leading = searchable_outgoing(sources_[leader].info);
    for (const ValueId id : sources) {
      const Symbols symbols = searchable_outgoing(sources_[id].info);
      if (sources_[id].is_free && !match(leading, symbols).empty()) continue;
      fix_all(sources);
      return kNoValue;
    }
    for (const ValueId id : sources) {
      if (id == leader) continue;
      for (const auto& [first, other] : match(leading, searchable_outgoing(sources_[id].info)))
        tie(*other, *first);
      join(id, leader);
    }
    return leader;
  }

  // --- kinds of nodes ---

  void process(ValueId id, const FlatNode& node) {
    if (node.kind == NodeKind::kCallModule) return process_module(id, node);
    if (node.kind != NodeKind::kCallOp || inputs_.empty()) return process_boundary(id);
    switch (operator_class(node.node->target)) {
      case OperatorClass::kUnary:
        return process_passthrough(id, *operator_passthrough(node.node->target));
      case OperatorClass::kElementwise:
        return process_elementwise(id);
      case OperatorClass::kMean:
      case OperatorClass::kSizeOf:
        return process_dims(id, node);
      case OperatorClass::kConcatenation:
        return process_concatenation(id, node);
      case OperatorClass::kAssertion:
        return join(id, inputs_[0]);
      case OperatorClass::kOther:
        return is_item_of_passthrough(node) ? join(id, inputs_[0]) : process_boundary(id);
    }
  }

  void process_module(ValueId id, const FlatNode& node) {
    SymbolTable::Entry* entry = table_.find(*node.callee);
    SymInfo* info = entry == nullptr ? nullptr : &entry->info;
    if (inputs_.empty() || graphs_.is_failed(*node.callee)) return process_boundary(id, info);
    if (info != nullptr && has_incoming(*info)) return process_reader(id, *info);
    if (const auto passthrough = module_passthrough(node.callee->type))
      return process_passthrough(id, *passthrough);
    process_boundary(id, info);
  }

  /// A module whose incoming symbols follow the value that it reads: a norm hands it on, a linear
  /// starts a new one.
  void process_reader(ValueId id, SymInfo& info) {
    const bool is_free = !searchable_outgoing(&info).empty();
    const auto [first_call, is_new] = first_calls_.emplace(&info, Call{id, inputs_[0]});
    synchronize({first_call->second.read, inputs_[0]});
    if (!is_new) return join(id, first_call->second.id);
    const Symbols readers = dangling(&info);
    const auto pairs = match(searchable_outgoing(source(inputs_[0]).info), readers);
    for (const auto& [made, reader] : pairs) reader->link_to(*made);
    if (pairs.empty()) {
      disable_all(readers);
      fix(inputs_[0]);
    }
    if (is_free) {
      start(id, &info, true);
    } else {
      join(id, inputs_[0]);
    }
  }

  void process_passthrough(ValueId id, const Passthrough& passthrough) {
    const Symbols symbols = searchable_outgoing(source(inputs_[0]).info);
    const bool is_kept =
        !passthrough.dims || std::all_of(symbols.begin(), symbols.end(), [&](const Symbol* symbol) {
          return overlap(*passthrough.dims, symbol->elastic_dims());
        });
    return is_kept ? join(id, inputs_[0]) : process_boundary(id);
  }

  void process_elementwise(ValueId id) {
    const ValueId leader = synchronize(inputs_);
    if (leader == kNoValue) return start(id, nullptr, false);
    join(id, leader);
  }

  /// The dimension of the value that may change, if one is known.
  const Symbol* changing(ValueId id) {
    const Symbols symbols = outgoing(source(id).info);
    return symbols.size() == 1 ? symbols.front() : nullptr;
  }

  /// The mean over other dimensions, or the size of one, leaves the dimension as it is.
  void process_dims(ValueId id, const FlatNode& node) {
    const Symbol* symbol = changing(inputs_[0]);
    const std::optional<Dims> dims = dims_argument(*node.node);
    const bool is_kept = symbol != nullptr && dims && !overlap(*dims, symbol->elastic_dims());
    return is_kept ? join(id, inputs_[0]) : process_boundary(id);
  }

  /// An item of what an operator that hands its dimension on gives: adaptive_max_pool2d.
  bool is_item_of_passthrough(const FlatNode& node) const {
    if (node.node->target != "builtin::getitem") return false;
    const FlatNode& tuple = graph_.node(inputs_[0]);
    return tuple.kind == NodeKind::kCallOp &&
           operator_class(tuple.node->target) == OperatorClass::kUnary;
  }

  // --- concatenation ---

  void process_concatenation(ValueId id, const FlatNode& node) {
    const std::optional<Dims> dims = dims_argument(*node.node);
    const int64_t dim = dims && dims->size() == 1 ? *dims->begin() : 0;
    for (const ValueId input : roots(inputs_)) {
      if (changing(input) == nullptr) return process_boundary(id);
    }
    const bool can_change = std::any_of(inputs_.begin(), inputs_.end(), [&](ValueId input) {
      const Symbol* symbol = changing(input);
      return symbol->is_searchable() && symbol->elastic_dims().contains(dim);
    });
    if (!can_change) return process_boundary(id);
    start(id, &concatenation_of(node, dim).info, true, 1);
  }

  bool same_sources(const std::vector<ValueId>& a, const std::vector<ValueId>& b) {
    return std::equal(
        a.begin(), a.end(), b.begin(), b.end(),
        [this](ValueId first, ValueId second) { return root(first) == root(second); });
  }

  /// That of the same values if there is one, else a new one.
  Concatenation& concatenation_of(const FlatNode& node, int64_t dim) {
    const std::vector<ValueId> listed = listed_values(node);
    for (Concatenation* known : by_first_[root(listed.front())]) {
      if (known->dim == dim && same_sources(known->inputs, listed)) return *known;
    }
    std::vector<std::shared_ptr<Symbol>> parts;
    for (const ValueId input : listed) parts.push_back(as_part(input, dim));
    auto symbol = std::make_shared<ConcatSymbol>(parts, Flow::kOutgoing, Dims{dim});
    SymInfo info;
    info.symbols.emplace_back("out", symbol);
    concatenations_.push_back(std::make_unique<Concatenation>(
        Concatenation{std::move(info), std::move(symbol), listed, dim}));
    by_first_[root(listed.front())].push_back(concatenations_.back().get());
    return *concatenations_.back();
  }

  /// The outgoing symbol of a value as part of a concatenation along `dim`: constant if it is part
  /// of another already, is one itself, or changes along another dimension.
  std::shared_ptr<Symbol> as_part(ValueId id, int64_t dim) {
    const SymInfo& info = *source(id).info;
    for (const auto& [name, symbol] : info.symbols) {
      if (!symbol->is_outgoing()) continue;
      const bool is_taken = symbol->concatenation() != nullptr ||
                            dynamic_cast<const ConcatSymbol*>(symbol.get()) != nullptr;
      if (is_taken || !symbol->elastic_dims().contains(dim)) symbol->disable();
      return symbol;
    }
    return nullptr;
  }

  /// All values of the list that cat is given, with repetitions.
  std::vector<ValueId> listed_values(const FlatNode& node) const {
    std::vector<ValueId> values;
    const auto* list = std::get_if<Argument::List>(&node.node->args.at(0).value());
    if (list == nullptr) return inputs_;
    for (const Argument& item : *list) {
      const FlatValue value = graph_.value(node, item);
      if (value.is_value()) values.push_back(value.id);
    }
    return values;
  }

  /// Incoming symbols that follow a concatenation become it; parts of concatenations follow them.
  void finish_concatenations() {
    if (concatenations_.empty()) return;
    std::vector<SymbolTable::Entry*> entries;
    for (const auto& [path, module] : ir::named_modules(root_)) {
      if (SymbolTable::Entry* entry = table_.find(*module)) entries.push_back(entry);
    }
    std::set<const ConcatSymbol*> nested = place_concatenations(entries);
    for (const auto& concatenation : concatenations_) {
      if (!nested.contains(concatenation->symbol.get())) concatenation->symbol->disable();
    }
    for (SymbolTable::Entry* entry : entries) {
      for (auto& [name, symbol] : entry->info.symbols) hide_part(symbol);
    }
  }

  /// Gives the concatenations that a module has now, and those that are parts of such.
  std::set<const ConcatSymbol*> place_concatenations(
      const std::vector<SymbolTable::Entry*>& entries) {
    std::unordered_map<const Symbol*, std::shared_ptr<ConcatSymbol>> waiting;
    for (const auto& concatenation : concatenations_)
      waiting.emplace(concatenation->symbol.get(), concatenation->symbol);
    std::set<const ConcatSymbol*> done;
    for (SymbolTable::Entry* entry : entries) {
      for (auto& [name, symbol] : entry->info.symbols) {
        const auto found = symbol->is_incoming() ? waiting.find(symbol->parent()) : waiting.end();
        if (found == waiting.end()) continue;
        const std::shared_ptr<ConcatSymbol> concat = std::move(found->second);
        waiting.erase(found);
        collect_nested(*concat, done);
        concat->replace(*symbol);
        concat->flatten();
        symbol = concat;
      }
    }
    return done;
  }

  static void collect_nested(const ConcatSymbol& concat, std::set<const ConcatSymbol*>& done) {
    done.insert(&concat);
    for (const auto& part : concat.parts()) {
      if (const auto* inner = dynamic_cast<const ConcatSymbol*>(part.get()))
        collect_nested(*inner, done);
    }
  }

  static void hide_part(std::shared_ptr<Symbol>& symbol) {
    if (symbol->concatenation() == nullptr) return;
    if (symbol->is_constant()) return symbol->leave_concatenation();
    auto follower =
        std::make_shared<Symbol>(Symbol::Options{.searchable = false,
                                                 .sortable = symbol->is_sortable(),
                                                 .flow = symbol->flow(),
                                                 .elastic_dims = symbol->elastic_dims()});
    follower->link_to(*symbol);
    symbol = std::move(follower);
  }

  // --- arguments ---

  ValueId out_argument(const FlatNode& node) const {
    if (node.kind != NodeKind::kCallOp) return kNoValue;
    for (const auto& [name, argument] : node.node->kwargs) {
      if (name == "out") return graph_.value(node, argument).id;
    }
    return kNoValue;
  }

  /// The second argument, or "dim": one dimension or several.
  static std::optional<Dims> dims_argument(const ir::Node& node) {
    const Argument* argument = node.args.size() > 1 ? &node.args[1] : nullptr;
    for (const auto& [name, value] : node.kwargs) {
      if (name == "dim") argument = &value;
    }
    if (argument == nullptr) return std::nullopt;
    if (const auto* dim = std::get_if<int64_t>(&argument->value())) return Dims{*dim};
    const auto* list = std::get_if<Argument::List>(&argument->value());
    if (list == nullptr || list->empty()) return std::nullopt;
    Dims dims;
    for (const Argument& item : *list) {
      if (const auto* dim = std::get_if<int64_t>(&item.value())) dims.insert(*dim);
    }
    return dims;
  }

  const FlatGraph& graph_;
  const ir::Module& root_;
  const GraphCollection& graphs_;
  SymbolTable& table_;
  std::vector<ValueId> parents_;  // union-find; kNoValue until the value is known
  std::vector<Source> sources_;   // of those that are roots
  std::vector<ValueId> inputs_;   // of the node at work
  struct Call {
    ValueId id;
    ValueId read;
  };
  std::unordered_map<const SymInfo*, Call> first_calls_;
  std::vector<std::unique_ptr<Concatenation>> concatenations_;
  std::unordered_map<ValueId, std::vector<Concatenation*>> by_first_;  // source of the first input
};

}  // namespace

void apply_dependency_rules(const FlatGraph& graph, const ir::Module& root,
                            const GraphCollection& graphs, SymbolTable& table) {
  GraphProcessor(graph, root, graphs, table).run();
}

}  // namespace lathe::trace
