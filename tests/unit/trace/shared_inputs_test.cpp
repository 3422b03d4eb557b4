#include "trace/shared_inputs.h"

#include <gtest/gtest.h>

#include "ir/text.h"
#include "lathe/error.h"

namespace lathe::trace {
namespace {

bool is_linear(const ir::Module& module) { return module.type == "Linear"; }

/// One line a group: "producer: reader reader".
std::string groups(const std::string& text) {
  std::string lines;
  for (const SharedInput& group : shared_inputs(*ir::parse_module(text), is_linear)) {
    lines += group.producer + ":";
    for (const std::string& reader : group.readers) lines += " " + reader;
    lines += "\n";
  }
  return lines;
}

/// A module with a graph of x and children of the given names, all Linear.
std::string module_text(const std::string& heading, const std::string& nodes,
                        const std::vector<std::string>& linears, const std::string& more = "") {
  static int number = 0;
  std::string text = heading + " { graph @" + std::to_string(++number) +
                     " { %x = placeholder \"x\"\n" + nodes + " }\n";
  for (const std::string& name : linears) text += "child " + name + ": Linear {}\n";
  return text + more + "}\n";
}

TEST(SharedInputs, QueriesKeysAndValues) {
  EXPECT_EQ(groups(module_text("module Attention",
                               "%q = call_module q_proj(%x) %k = call_module k_proj(%x)\n"
                               "%v = call_module v_proj(%x)\n"
                               "%a = call_op lathe::attention(%q, %k, %v)\n"
                               "%o = call_module o_proj(%a) output(%o)",
                               {"q_proj", "k_proj", "v_proj", "o_proj"})),
            ": q_proj k_proj v_proj\n"
            ": o_proj\n");
}

const std::string kMlp =
    module_text("child mlp: Mlp",
                "%g = call_module gate(%x) %a = call_module act(%g) %u = call_module up(%x)\n"
                "%m = call_op aten::mul.Tensor(%a, %u) %d = call_module down(%m) output(%d)",
                {"gate", "up", "down"}, "child act: SiLU {}");

TEST(SharedInputs, ValuesAreFollowedIntoAndOutOfComposites) {
  EXPECT_EQ(groups(module_text("module Layer",
                               "%n = call_module norm(%x) %m = call_module mlp(%n)\n"
                               "%s = call_module side(%n) %h = call_module head(%m)\n"
                               "%i = call_module head2(%m) output([%s, %h, %i])",
                               {"side", "head", "head2"}, kMlp + "child norm: RMSNorm {}")),
            "norm: mlp.gate mlp.up side\n"
            ": mlp.down\n"
            "mlp.down: head head2\n");
}

/// Parallel attention: the attention and the MLP of a layer read one norm.
TEST(SharedInputs, ParallelAttention) {
  const std::string attention =
      module_text("child attention: Attention", "%q = call_module query(%x) output(%q)", {"query"});
  EXPECT_EQ(groups(module_text("module Layer",
                               "%n = call_module norm(%x) %a = call_module attention(%n)\n"
                               "%m = call_module mlp(%n) %s = call_op aten::add.Tensor(%a, %m)\n"
                               "output(%s)",
                               {}, attention + kMlp + "child norm: RMSNorm {}")),
            "norm: attention.query mlp.gate mlp.up\n"
            ": mlp.down\n");
}

TEST(SharedInputs, AModuleThatIsCalledTwiceIsInItsFirstGroup) {
  EXPECT_EQ(
      groups(module_text("module A",
                         "%a = call_module one(%x) %b = call_module two(%a)\n"
                         "%c = call_module one(%b) %d = call_module three(%b) output([%c, %d])",
                         {"one", "two", "three"})),
      ": one\n"
      "one: two\n"
      "two: three\n");
}

TEST(SharedInputs, ACompositeThatIsCalledTwiceIsCountedOnce) {
  EXPECT_EQ(
      groups(module_text("module A", "%a = call_module mlp(%x) %b = call_module mlp(%a) output(%b)",
                         {}, kMlp)),
      ": mlp.gate mlp.up\n"
      ": mlp.down\n");
}

TEST(SharedInputs, ModulesThatAreNotCalledAreInNoGroup) {
  EXPECT_EQ(
      groups(module_text("module A", "%a = call_module used(%x) output(%a)", {"used", "unused"})),
      ": used\n");
  EXPECT_EQ(groups(module_text("module A", "output(%x)", {"unused"})), "");
}

TEST(SharedInputs, EveryOperatorGivesAValueOfItsOwn) {
  EXPECT_EQ(groups(module_text("module A",
                               "%n = call_op aten::neg(%x) %m = call_op aten::neg(%x)\n"
                               "%a = call_module one(%n) %b = call_module two(%m)\n"
                               "%c = call_module three(%x) output([%a, %b, %c])",
                               {"one", "two", "three"})),
            ": one\n: two\n: three\n");
}

TEST(SharedInputs, InputsOfTheModelCanBeShared) {
  EXPECT_EQ(groups(module_text("module A",
                               "%y = placeholder \"y\" %a = call_module one(%x)\n"
                               "%b = call_module two(%y) %c = call_module three(%x)\n"
                               "output(a=%a, b=%b, c=%c)",
                               {"one", "two", "three"})),
            ": one three\n: two\n");
}

/// Constants, defaults and nothing are no values: their readers share nothing.
TEST(SharedInputs, ConstantsAreNotShared) {
  const std::string inner =
      "child inner: Inner { graph @77 { %a = placeholder \"a\" %b = placeholder \"b\" default "
      "None\n"
      "%c = call_module one(%b) %d = call_module two(%b) output([%c, %d]) }\n"
      "child one: Linear {} child two: Linear {} }";
  EXPECT_EQ(groups(module_text("module A",
                               "%a = call_module three() %b = call_module four(None)\n"
                               "%c = call_module inner(%x) output([%a, %b, %c])",
                               {"three", "four"}, inner)),
            ": three\n: four\n: inner.one\n: inner.two\n");
}

TEST(SharedInputs, AModelNeedsAGraph) {
  EXPECT_THROW(shared_inputs(ir::Module("Model"), is_linear), InternalError);
}

}  // namespace
}  // namespace lathe::trace
