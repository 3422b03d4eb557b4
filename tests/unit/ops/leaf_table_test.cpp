#include "ops/leaf_table.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <gtest/gtest.h>

#include "lathe/error.h"
#include "ops/operators.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

class Leaf {
 public:
  explicit Leaf(std::string type) : module_(std::move(type)) {}

  Leaf& parameter(std::string_view name, at::Tensor value) {
    module_.parameters.set(name, std::make_shared<ir::Parameter>(std::move(value)));
    return *this;
  }
  Leaf& buffer(std::string_view name, at::Tensor value) {
    module_.buffers.set(name, std::make_shared<ir::Parameter>(std::move(value)));
    return *this;
  }
  Leaf& attribute(std::string_view name, ir::Attribute value) {
    module_.attributes.set(name, std::move(value));
    return *this;
  }

  c10::IValue run(std::vector<c10::IValue> arguments) const {
    static const LeafTable table = LeafTable::builtin();
    return (*table.find(module_.type))(module_, arguments);
  }
  at::Tensor operator()(const at::Tensor& x) const { return run({x}).toTensor(); }

 private:
  ir::Module module_;
};

TEST(LeafTable, Linear) {
  for (const at::ScalarType dtype : kFloatTypes) {
    const at::Tensor x = random_tensor({2, 3, 8}, dtype, 1);
    const at::Tensor weight = random_tensor({5, 8}, dtype, 2);
    const at::Tensor bias = random_tensor({5}, dtype, 3);
    EXPECT_TRUE(Leaf("Linear").parameter("weight", weight)(x).equal(at::linear(x, weight)));
    EXPECT_TRUE(Leaf("Linear")
                    .parameter("weight", weight)
                    .parameter("bias", bias)(x)
                    .equal(at::linear(x, weight, bias)));
  }
}

TEST(LeafTable, Embedding) {
  const at::Tensor weight = random_tensor({7, 4}, at::kBFloat16, 1);
  const at::Tensor ids = at::arange(6, at::kLong).view({2, 3});
  const at::Tensor y = Leaf("Embedding").parameter("weight", weight)(ids);
  EXPECT_TRUE(y.equal(weight.slice(0, 0, 6).view({2, 3, 4})));
}

TEST(LeafTable, Norms) {
  for (const at::ScalarType dtype : kFloatTypes) {
    const at::Tensor x = random_tensor({2, 3, 8}, dtype, 1);
    const at::Tensor weight = random_tensor({8}, dtype, 2);
    const at::Tensor bias = random_tensor({8}, dtype, 3);
    Leaf rms("RMSNorm");
    rms.parameter("weight", weight).attribute("eps", 0.1);
    EXPECT_TRUE(rms(x).equal(rms_norm(x, weight, 0.1, 0.0)));
    EXPECT_TRUE(rms.attribute("weight_offset", 1.0)(x).equal(rms_norm(x, weight, 0.1, 1.0)));
    Leaf layer("LayerNorm");
    layer.parameter("weight", weight).attribute("eps", 0.1);
    EXPECT_TRUE(layer(x).equal(at::layer_norm(x, {8}, weight, {}, 0.1)));
    EXPECT_TRUE(layer.parameter("bias", bias)(x).equal(at::layer_norm(x, {8}, weight, bias, 0.1)));
  }
}

TEST(LeafTable, Activations) {
  const at::Tensor x = random_tensor({2, 9}, at::kBFloat16, 1);
  EXPECT_TRUE(Leaf("SiLU")(x).equal(at::silu(x)));
  EXPECT_TRUE(Leaf("ReLU")(x).equal(at::relu(x)));
  EXPECT_TRUE(Leaf("GELU")(x).equal(at::gelu(x)));
  EXPECT_TRUE(Leaf("GELU").attribute("approximate", "tanh")(x).equal(at::gelu(x, "tanh")));
}

TEST(LeafTable, RotaryEmbedding) {
  const at::Tensor inv_freq = random_tensor({4}, at::kFloat, 1).abs();
  const at::Tensor positions = at::arange(6, at::kLong).unsqueeze(0);
  Leaf leaf("RotaryEmbedding");
  leaf.buffer("inv_freq", inv_freq).attribute("attention_scaling", 0.5);
  const at::Tensor x = random_tensor({1, 6, 8}, at::kBFloat16, 2);
  const c10::IValue value = leaf.run({x, positions});
  const auto [cos, sin] = rotary_table(inv_freq, positions, 0.5, at::kBFloat16);
  EXPECT_TRUE(value.toTupleRef().elements()[0].toTensor().equal(cos));
  EXPECT_TRUE(value.toTupleRef().elements()[1].toTensor().equal(sin));
}

TEST(LeafTable, MissingPartsAreInternalErrors) {
  const at::Tensor x = random_tensor({2, 4}, at::kFloat, 1);
  EXPECT_THROW(Leaf("Linear")(x), InternalError);
  EXPECT_THROW(Leaf("Linear").parameter("weight", x).run({}), InternalError);
  EXPECT_THROW(Leaf("Linear").parameter("weight", x).run({c10::IValue(1)}), InternalError);
  EXPECT_THROW(Leaf("RMSNorm").parameter("weight", x[0])(x), InternalError);
  EXPECT_THROW(Leaf("RotaryEmbedding").run({x, x}), InternalError);
}

TEST(LeafTable, TypesAreAddedAndReplaced) {
  LeafTable table = LeafTable::builtin();
  EXPECT_EQ(table.find("Twice"), nullptr);
  EXPECT_EQ(table.find("ModuleList"), nullptr);
  const auto twice = [](const ir::Module&, std::span<const c10::IValue> arguments) {
    return c10::IValue(arguments[0].toTensor() * 2);
  };
  table.add("Twice", twice);
  table.add("ReLU", twice);
  const at::Tensor x = random_tensor({3}, at::kFloat, 1);
  const std::vector<c10::IValue> arguments = {x};
  const ir::Module module("Twice");
  EXPECT_TRUE((*table.find("Twice"))(module, arguments).toTensor().equal(x * 2));
  EXPECT_TRUE((*table.find("ReLU"))(module, arguments).toTensor().equal(x * 2));
}

}  // namespace
}  // namespace lathe::ops
