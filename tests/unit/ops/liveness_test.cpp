// Values are freed after their last reader: weak references tell.
#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "ir/text.h"
#include "ops/interpreter.h"

namespace lathe::ops {
namespace {

using WeakTensor = c10::weak_intrusive_ptr<at::TensorImpl>;

/// Leaves that look at what is alive: "Make" gives a new tensor and remembers it, "Look" passes its
/// argument on and writes down which of the made tensors are alive ("10" = the first alone).
class Watch {
 public:
  LeafTable leaves() {
    LeafTable table = LeafTable::builtin();
    table.add("Make", [this](const ir::Module&, std::span<const c10::IValue> arguments) {
      at::Tensor made = arguments[0].toTensor() + 1;
      made_.emplace_back(made.getIntrusivePtr());
      return c10::IValue(std::move(made));
    });
    table.add("Look", [this](const ir::Module&, std::span<const c10::IValue> arguments) {
      std::string alive;
      for (const WeakTensor& weak : made_) alive += weak.expired() ? '0' : '1';
      seen_.push_back(alive);
      return arguments[0];
    });
    return table;
  }

  const std::vector<std::string>& seen() const { return seen_; }
  size_t alive() const {
    return static_cast<size_t>(std::count_if(made_.begin(), made_.end(),
                                             [](const auto& weak) { return !weak.expired(); }));
  }

 private:
  std::vector<WeakTensor> made_;
  std::vector<std::string> seen_;
};

using Seen = std::vector<std::string>;

Seen watch(const std::string& nodes, const std::string& members = "", bool fuse = true) {
  const ir::ModulePtr module =
      ir::parse_module("module A { graph @1 { %x = placeholder \"x\"\n" + nodes +
                       " }\nchild make: Make {}\nchild look: Look {}\n" + members + "}");
  Watch watch;
  Interpreter interpreter(watch.leaves());
  interpreter.set_fusion(fuse);
  {
    const c10::IValue value = interpreter.call("", *module, {at::ones({8})});
    EXPECT_GE(watch.alive(), 1u);
  }
  EXPECT_EQ(watch.alive(), 0u) << "the interpreter keeps values";
  return watch.seen();
}

TEST(Liveness, ValuesEndWithTheirLastReader) {
  EXPECT_EQ(watch("%a = call_module make(%x) %l = call_module look(%a)\n"
                  "%b = call_module make(%l) %m = call_module look(%b)\n"
                  "%c = call_module make(%b) %n = call_module look(%c)\n"
                  "output(%n)"),
            (Seen{"1", "01", "001"}));
}

TEST(Liveness, AValueWithALaterReaderStays) {
  EXPECT_EQ(watch("%a = call_module make(%x) %b = call_module make(%a)\n"
                  "%l = call_module look(%b) %s = call_op aten::add.Tensor(%a, %b)\n"
                  "%m = call_module look(%s) %c = call_module make(%s) output(%c)"),
            (Seen{"11", "00"}));
}

TEST(Liveness, AValueThatNobodyReadsIsDroppedAtOnce) {
  EXPECT_EQ(watch("%a = call_module make(%x) %l = call_module look(%x)\n"
                  "%b = call_module make(%x) output(%b)"),
            (Seen{"0"}));
}

TEST(Liveness, ReadersInListsAndByName) {
  EXPECT_EQ(watch("%a = call_module make(%x) %l = call_module look(%x)\n"
                  "%c = call_op aten::cat(tensors=[%x, %a]) %m = call_module look(%c)\n"
                  "%b = call_module make(%c) output(%b)"),
            (Seen{"1", "0"}));
}

/// What only the callee reads from now on ends inside of the callee.
TEST(Liveness, ArgumentsEndInsideOfTheCallee) {
  const std::string inner =
      "child inner: Inner { graph @2 { %x = placeholder \"x\" %c = call_module make(%x)\n"
      "%l = call_module look(%c) output(%l) } child make: Make {} child look: Look {} }";
  EXPECT_EQ(watch("%a = call_module make(%x) %b = call_module inner(%a) output(%b)", inner),
            (Seen{"01"}));
  EXPECT_EQ(watch("%a = call_module make(%x) %b = call_module inner(%a)\n"
                  "%s = call_op aten::add.Tensor(%a, %b) %c = call_module make(%s) output(%c)",
                  inner),
            (Seen{"11"}));
}

TEST(Liveness, FusedStepsFreeTheirInputs) {
  const std::string nodes =
      "%a = call_module make(%x) %g = call_module act(%a) %b = call_module make(%x)\n"
      "%p = call_op aten::mul.Tensor(%g, %b) %l = call_module look(%p)\n"
      "%c = call_module make(%p) %s = call_op aten::add.Tensor(%c, %p)\n"
      "%m = call_module look(%s) %d = call_module make(%m) output(%d)";
  EXPECT_EQ(watch(nodes, "child act: SiLU {}"), (Seen{"00", "000"}));
  EXPECT_EQ(watch(nodes, "child act: SiLU {}", false), (Seen{"00", "000"}));
}

}  // namespace
}  // namespace lathe::ops
