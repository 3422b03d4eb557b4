#include <gtest/gtest.h>

#include "ir/text.h"
#include "trace/shared_inputs.h"

namespace lathe::trace {
namespace {

bool is_linear(const ir::Module& module) { return module.type == "Linear"; }

/// The producer of %y in a graph of x with Linears "k_proj" and "qkv" and an RMSNorm "k_norm".
std::string producer(const std::string& nodes) {
  const ir::ModulePtr module = ir::parse_module(
      "module Attention { graph @1 { %x = placeholder \"x\" %cos = placeholder \"cos\"\n" + nodes +
      "\noutput(%y) } child k_proj: Linear {} child qkv: Linear {} child k_norm: RMSNorm {} }");
  return producer_of(*module, *module->graph->find("y"), is_linear);
}

TEST(ProducerOf, IsFoundThroughViewsNormsAndRotation) {
  EXPECT_EQ(
      producer("%k = call_module k_proj(%x) %u = call_op aten::unflatten.int(%k, -1, [2, 4])\n"
               "%n = call_module k_norm(%u) %t = call_op aten::transpose.int(%n, 1, 2)\n"
               "%y = call_op lathe::rotary_embedding(%t, %cos, %cos)"),
      "k_proj");
}

TEST(ProducerOf, IsFoundThroughItemsOfASplit) {
  EXPECT_EQ(producer("%k = call_module qkv(%x) %s = call_op aten::split.Tensor(%k, 4, -1)\n"
                     "%y = call_op builtin::getitem(%s, 1)"),
            "qkv");
}

TEST(ProducerOf, IsTheModuleItself) {
  EXPECT_EQ(producer("%y = call_module k_proj(%x)"), "k_proj");
}

TEST(ProducerOf, IsTheLastOfAChain) {
  EXPECT_EQ(producer("%a = call_module qkv(%x) %y = call_module k_proj(%a)"), "k_proj");
}

TEST(ProducerOf, NoModule) {
  EXPECT_EQ(producer("%y = call_op aten::neg(%x)"), "");
  EXPECT_EQ(producer("%y = call_module k_norm(%x)"), "");
  EXPECT_EQ(producer("%y = call_op aten::arange(4)"), "");
}

/// The second argument of a sum is not followed.
TEST(ProducerOf, FollowsTheFirstTensor) {
  EXPECT_EQ(producer("%a = call_module k_proj(%x) %b = call_module qkv(%x)\n"
                     "%y = call_op aten::add.Tensor(%a, %b)"),
            "k_proj");
  EXPECT_EQ(producer("%b = call_module qkv(%x) %y = call_op aten::where.self(1, %b, %x)"), "qkv");
}

}  // namespace
}  // namespace lathe::trace
