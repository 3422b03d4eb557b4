#include "quantization/summary.h"

#include <gtest/gtest.h>

#include "ir/text.h"
#include "testing.h"

namespace lathe::quantization {
namespace {

TEST(Summary, AmaxText) {
  EXPECT_EQ(amax_text({}), "none");
  EXPECT_EQ(amax_text({0.4375f}), "0.4375");
  EXPECT_EQ(amax_text({0.5f, 0.01f, 0.3f}), "[0.01, 0.5] of 3");
}

TEST(Summary, OneLineForEachQuantizer) {
  const ir::ModulePtr root =
      ir::parse_module("module A { child fc: Linear { parameter weight: f32[2, 4] &1 } }");
  const Conversion conversion =
      convert_all(*root, resolver_of({{"*weight_quantizer", attributes_of("int8_per_channel")}}));
  conversion.layers[0].weight->set_amax({1, 3});
  EXPECT_EQ(summary(conversion),
            "fc.weight_quantizer  int8 per-channel, amax [1, 3] of 2\n"
            "1 quantizers, 1 enabled\n");
}

}  // namespace
}  // namespace lathe::quantization
