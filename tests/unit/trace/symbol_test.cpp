#include "lathe/symbol.h"

#include <gtest/gtest.h>

#include "lathe/error.h"
#include "lathe/trace_types.h"

namespace lathe {
namespace {

using SymbolPtr = std::shared_ptr<Symbol>;

SymbolPtr outgoing(std::set<int64_t> dims = {1}) {
  return std::make_shared<Symbol>(
      Symbol::Options{.searchable = true, .flow = Flow::kOutgoing, .elastic_dims = dims});
}
SymbolPtr incoming(std::set<int64_t> dims = {1}) {
  return std::make_shared<Symbol>(Symbol::Options{.flow = Flow::kIncoming, .elastic_dims = dims});
}

TEST(Symbol, IsFreeUntilSomethingIsSaid) {
  Symbol symbol;
  EXPECT_TRUE(symbol.is_free());
  EXPECT_FALSE(symbol.is_searchable() || symbol.is_dynamic() || symbol.is_constant());
  EXPECT_FALSE(symbol.is_cross_layer() || symbol.is_dangling());
  EXPECT_TRUE(symbol.is_sortable());
  EXPECT_TRUE(incoming()->is_dangling());
  EXPECT_FALSE(outgoing()->is_dangling());
}

TEST(Symbol, DimensionsGoWithTheFlow) {
  EXPECT_THROW(Symbol({.flow = Flow::kIncoming}), UserError);
  EXPECT_THROW(Symbol({.elastic_dims = {1}}), UserError);
}

TEST(Symbol, LinkingMakesItDynamic) {
  const SymbolPtr parent = outgoing(), child = outgoing(), grandchild = incoming();
  child->link_to(*parent);
  grandchild->link_to(*child);
  EXPECT_TRUE(child->is_dynamic());
  EXPECT_FALSE(child->is_searchable());
  EXPECT_EQ(child->parent(), parent.get());
  EXPECT_EQ(parent->dependents(), std::vector<Symbol*>{child.get()});
  EXPECT_EQ(grandchild->leader(), parent.get());
  EXPECT_TRUE(parent->is_searchable());
}

TEST(Symbol, OnlyFreeAndSearchableSymbolsAreLinkedAndNotInCircles) {
  const SymbolPtr a = outgoing(), b = outgoing(), c = outgoing(), constant = outgoing();
  b->link_to(*a);
  c->link_to(*b);
  EXPECT_THROW(b->link_to(*c), UserError);
  EXPECT_THROW(a->link_to(*c), UserError);
  EXPECT_THROW(a->link_to(*a), UserError);
  constant->disable();
  EXPECT_THROW(constant->link_to(*a), UserError);
  EXPECT_THROW(a->link_to(*constant), UserError);
}

TEST(Symbol, DisablingSpreadsToParentsAndDependents) {
  const SymbolPtr a = outgoing(), b = outgoing(), c = incoming(), other = outgoing();
  b->link_to(*a);
  c->link_to(*b);
  b->disable();
  for (const SymbolPtr& symbol : {a, b, c}) {
    EXPECT_TRUE(symbol->is_constant());
    EXPECT_FALSE(symbol->is_searchable() || symbol->is_dynamic() || symbol->is_sortable());
    EXPECT_TRUE(symbol->dependents().empty());
  }
  EXPECT_TRUE(other->is_searchable());
}

TEST(Symbol, IsSortableIfAllThatItIsLinkedWithAre) {
  const SymbolPtr a = outgoing(), b = outgoing(), c = incoming();
  b->link_to(*a);
  c->link_to(*a);
  EXPECT_TRUE(b->is_sortable());
  c->set_sortable(false);
  EXPECT_FALSE(a->is_sortable());
  EXPECT_FALSE(b->is_sortable());
}

TEST(SymDepth, HasSkippableBlocks) {
  SymDepth depth(4);
  EXPECT_TRUE(depth.is_searchable());
  EXPECT_EQ(depth.min_depth(), 4);
  depth.set_skippable(1, true);
  depth.set_skippable(3, true);
  EXPECT_EQ(depth.skippable(), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(depth.min_depth(), 2);
  EXPECT_EQ(depth.max_depth(), 4);
  EXPECT_THROW(depth.link_to(*outgoing()), UserError);
  depth.disable();
  EXPECT_TRUE(depth.skippable().empty());
  EXPECT_TRUE(depth.is_constant());
}

ConcatSymbol concat(std::vector<SymbolPtr> parts) {
  return ConcatSymbol(std::move(parts), Flow::kOutgoing, {1});
}

TEST(ConcatSymbol, IsWhatItsPartsAre) {
  const SymbolPtr a = outgoing(), b = outgoing();
  ConcatSymbol sum({a, b}, Flow::kOutgoing, {1});
  EXPECT_TRUE(sum.is_searchable());
  EXPECT_EQ(a->leader(), &sum);
  a->disable();
  EXPECT_TRUE(sum.is_searchable());
  EXPECT_TRUE(sum.is_sortable());
  EXPECT_EQ(a->leader(), a.get());
  b->disable();
  EXPECT_FALSE(sum.is_searchable());
  EXPECT_TRUE(sum.is_constant());
  EXPECT_THROW(concat({}), UserError);
}

TEST(ConcatSymbol, DisablesItsPartsAndFollowers) {
  const SymbolPtr a = outgoing(), b = outgoing(), reader = incoming();
  ConcatSymbol sum({a, b, a}, Flow::kOutgoing, {1});
  reader->link_to(sum);
  EXPECT_TRUE(reader->is_dynamic());
  sum.disable();
  EXPECT_TRUE(a->is_constant() && b->is_constant() && reader->is_constant());
}

TEST(ConcatSymbol, TwoConcatenationsDoNotFollowEachOther) {
  const SymbolPtr a = outgoing(), b = outgoing(), other = outgoing();
  ConcatSymbol first({a}, Flow::kOutgoing, {1}), second({b}, Flow::kOutgoing, {1});
  EXPECT_THROW(concat({a}), UserError);
  second.link_to(first);
  EXPECT_TRUE(a->is_constant() && b->is_constant());
  const SymbolPtr c = outgoing();
  ConcatSymbol third({c}, Flow::kOutgoing, {1});
  c->link_to(*other);
  EXPECT_TRUE(c->is_constant() && other->is_constant());
}

TEST(ConcatSymbol, TakesThePlaceOfAFollower) {
  const SymbolPtr a = outgoing(), reader = incoming(), after = incoming();
  ConcatSymbol sum({a}, Flow::kOutgoing, {1});
  reader->link_to(sum);
  after->link_to(*reader);
  sum.replace(*reader);
  EXPECT_TRUE(sum.is_incoming());
  EXPECT_EQ(after->parent(), &sum);
  EXPECT_EQ(sum.dependents(), std::vector<Symbol*>{after.get()});
}

SymMap::Entry entry(const std::string& path, SymbolPtr first, SymbolPtr second) {
  return {path, "Linear", {false, {{"in", std::move(first)}, {"out", std::move(second)}}}};
}

TEST(SymMap, FindsSymbolsByState) {
  SymMap map;
  const SymbolPtr leader = outgoing(), follower = incoming(), constant = incoming();
  follower->link_to(*leader);
  constant->disable();
  map.add(entry("a", constant, leader));
  map.add(entry("b.c", follower, incoming()));
  const auto names = [&](const SymbolFilter& filter) {
    std::string text;
    for (const auto& [name, symbol] : map.named_symbols(filter)) text += name + " ";
    return text;
  };
  EXPECT_EQ(names({}), "a.in a.out b.c.in b.c.out ");
  EXPECT_EQ(names({.searchable = true}), "a.out ");
  EXPECT_EQ(names({.free = true, .dynamic = true}), "b.c.in b.c.out ");
  EXPECT_EQ(names({.constant = false}), "a.out b.c.in b.c.out ");
  EXPECT_EQ(map.named_symbols("b.c", {.dynamic = true}).at(0).first, "in");
  EXPECT_EQ(map.groups().at(0).links, std::vector<std::string>{"b.c.in"});
}

TEST(SymMap, IsADictionary) {
  SymMap map;
  const SymbolPtr constant = incoming();
  constant->disable();
  map.add(entry("a", incoming(), outgoing()));
  map.add(entry("b", constant, constant));
  EXPECT_THROW(map.add(entry("a", incoming(), outgoing())), UserError);
  EXPECT_TRUE(map.contains("a"));
  EXPECT_FALSE(map.contains("c"));
  EXPECT_THROW(map.get_symbol("a", "up"), UserError);
  EXPECT_THROW(map.get_symbol("c", "in"), UserError);
  map.set_symbol("a", "in", constant);
  EXPECT_EQ(&map.get_symbol("a", "in"), constant.get());
  map.prune();
  EXPECT_FALSE(map.contains("b"));
  EXPECT_EQ(map.pop("a").symbols.size(), 2u);
  EXPECT_EQ(map.size(), 0u);
  EXPECT_THROW(map.pop("a"), UserError);
}

TEST(SymRegistry, TakesAndGivesUpTypes) {
  SymRegistry registry = SymRegistry::builtin();
  EXPECT_EQ(registry.find("Scale"), nullptr);
  registry.add("Scale", [](const ModuleView&) { return SymInfo(); });
  EXPECT_NE(registry.find("Scale"), nullptr);
  EXPECT_TRUE(registry.is_leaf("Scale"));
  registry.remove("Scale");
  EXPECT_EQ(registry.find("Scale"), nullptr);
  EXPECT_FALSE(registry.is_leaf("Scale"));
  EXPECT_THROW(registry.remove("Scale"), UserError);
  EXPECT_FALSE(registry.is_leaf("Sequential"));
}

}  // namespace
}  // namespace lathe
