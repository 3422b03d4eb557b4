#include <gtest/gtest.h>

#include "ir/text.h"
#include "ir/verify.h"
#include "lathe/error.h"
#include "ops/staged_run.h"

namespace lathe::ops {
namespace {

constexpr const char* kBlock =
    "block { graph @9 { %x = placeholder \"x\" %y = call_op aten::neg(%x) output(%y) } }";

std::string flat(const std::string& text) {
  const ir::ModulePtr module = ir::parse_module(text);
  const ir::GraphPtr graph = flatten_to_blocks(*module);
  ir::verify("", *module, *graph);
  return ir::print(*graph);
}

TEST(Flatten, PathsNamesAndDefaults) {
  EXPECT_EQ(flat(fmt::format(R"(module Model {{
    graph @1 {{
      %x = placeholder "x"
      %y = call_module inner(%x)
      %z = call_op aten::cat([%y, %x], dim=0)
      output(z=%z)
    }}
    child inner: Inner {{
      parameter bias: f32[1] &1
      graph @2 {{
        %x = placeholder "x"
        %scale = placeholder "scale" default 2
        %b = get_attr bias
        %y = call_op aten::add.Tensor(%x, %b, alpha=%scale)
        %z = call_module deep.er(%y)
        output(%z)
      }}
      child deep: ModuleList {{
        child er: Deep {{
          graph @3 {{
            %x = placeholder "x"
            %y = call_module block(%x)
            output(%y)
          }}
          child block: Block {}
        }}
      }}
    }}
  }})",
                             kBlock)),
            "%x = placeholder \"x\"\n"
            "%b = get_attr inner.bias\n"
            "%y = call_op aten::add.Tensor(%x, %b, alpha=2)\n"
            "%y_1 = call_module inner.deep.er.block(%y)\n"
            "%z = call_op aten::cat([%y_1, %x], dim=0)\n"
            "output(z=%z)\n");
}

TEST(Flatten, BlocksAndCompositesWithoutBlocksStay) {
  const std::string graph =
      "%x = placeholder \"x\"\n%a = call_module a(%x)\n%b = call_module b(%a)\noutput(%b)\n";
  EXPECT_EQ(flat("module Model { graph @1 {" + graph + "} child a: A " + kBlock +
                 " child b: B { graph @2 { %x = placeholder \"x\" output(%x) } } }"),
            graph);
}

/// The list that a composite gives is taken apart by getitem.
TEST(Flatten, ListsOfValuesStay) {
  EXPECT_EQ(flat(fmt::format(R"(module Model {{
    graph @1 {{
      %x = placeholder "x"
      %m = call_module m(%x)
      %y = call_op builtin::getitem(%m, 1)
      output(%y)
    }}
    child m: M {{
      graph @2 {{
        %x = placeholder "x"
        %b = call_module b(%x)
        output([%x, %b])
      }}
      child b: B {}
    }}
  }})",
                             kBlock)),
            "%x = placeholder \"x\"\n"
            "%b = call_module m.b(%x)\n"
            "%y = call_op builtin::getitem([%x, %b], 1)\n"
            "output(%y)\n");
}

std::string error_of_call(const std::string& arguments) {
  try {
    flat("module Model { graph @1 { %x = placeholder \"x\" %y = call_module m(" + arguments +
         ") output(%y) } child m: M { graph @2 { %x = placeholder \"x\" %b = call_module b(%x) "
         "output(%b) } child b: B " +
         kBlock + "} }");
  } catch (const InternalError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Flatten, ArgumentsMustFit) {
  EXPECT_EQ(error_of_call("%x"), "no error");
  EXPECT_EQ(error_of_call(""), "m: argument x is missing");
  EXPECT_EQ(error_of_call("%x, %x"), "m: 2 arguments are given, 1 are taken");
}

}  // namespace
}  // namespace lathe::ops
