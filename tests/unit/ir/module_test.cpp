#include "ir/module.h"

#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "ir/scalar_types.h"
#include "ir/text.h"
#include "lathe/error.h"

namespace lathe::ir {
namespace {

ParameterPtr weight(int64_t size) { return std::make_shared<Parameter>(at::ones({size})); }

/// root { embed.weight, layers { 0 { weight, inv_freq (buffer) }, 1 = 0 }, head.weight = embed }
ModulePtr tree() {
  ModulePtr root = make_module("Model");
  Module& embed = root->add_child("embed", make_module("Embedding"));
  embed.parameters.set("weight", weight(4));
  Module& layers = root->add_child("layers", make_module("ModuleList"));
  ModulePtr layer = make_module("Layer");
  layer->parameters.set("weight", weight(2));
  layer->buffers.set("inv_freq", weight(3));
  layers.add_child("0", layer);
  layers.add_child("1", layer);
  Module& head = root->add_child("head", make_module("Linear"));
  head.parameters.set("weight", *embed.parameters.find("weight"));
  return root;
}

template <typename Items>
std::vector<std::string> paths(const Items& items) {
  std::vector<std::string> names;
  for (const auto& [path, item] : items) names.push_back(path);
  return names;
}

TEST(Module, JoinsPaths) {
  EXPECT_EQ(join_path("a.b", "c"), "a.b.c");
  EXPECT_EQ(join_path("", "c"), "c");
  EXPECT_EQ(join_path("a", ""), "a");
  EXPECT_EQ(join_path("", ""), "");
}

TEST(Module, FindsByPath) {
  const ModulePtr root = tree();
  EXPECT_EQ(root->find(""), root.get());
  EXPECT_EQ(root->find("layers.0")->type, "Layer");
  EXPECT_EQ(root->find("layers.2"), nullptr);
  EXPECT_EQ(root->find("layers..0"), nullptr);
  EXPECT_EQ(root->find("layer"), nullptr);
  EXPECT_EQ(&root->at("head"), root->find("head"));
  EXPECT_THROW(root->at("heads"), InternalError);
}

TEST(Module, FindsParametersAndBuffers) {
  const ModulePtr root = tree();
  EXPECT_EQ(root->find_parameter("layers.0.weight")->numel(), 2);
  EXPECT_EQ(root->find_parameter("layers.0.inv_freq")->numel(), 3);
  EXPECT_EQ(root->find_parameter("layers.0.bias"), nullptr);
  EXPECT_EQ(root->find_parameter("layers.7.weight"), nullptr);
  EXPECT_EQ(root->find_parameter("weight"), nullptr);
}

TEST(Module, NamedModulesGivesSharedOnesOnce) {
  const std::vector<std::string> expected = {"", "embed", "layers", "layers.0", "head"};
  const ModulePtr root = tree();
  EXPECT_EQ(paths(named_modules(*root)), expected);
  EXPECT_EQ(paths(named_modules(std::as_const(*root))), expected);
}

TEST(Module, NamedParametersGivesTiedOnesAtEachPath) {
  const ModulePtr root = tree();
  const auto found = named_parameters(*root);
  EXPECT_EQ(paths(found), (std::vector<std::string>{"embed.weight", "layers.0.weight",
                                                    "layers.1.weight", "head.weight"}));
  EXPECT_EQ(found[0].second, found[3].second);
}

TEST(Module, ReleasesWhatCanBeReadAgain) {
  const ModulePtr root = make_module("Linear");
  const auto lazy = std::make_shared<Parameter>(at::kFloat, std::vector<int64_t>{2},
                                                [] { return at::ones({2}); });
  root->parameters.set("weight", lazy);
  root->parameters.set("bias", weight(2));
  lazy->tensor();
  release_parameters(*root);
  EXPECT_FALSE(lazy->is_loaded());
  EXPECT_TRUE((*root->parameters.find("bias"))->is_loaded());
}

TEST(Module, AttributesHaveTypes) {
  Module module("RMSNorm");
  module.attributes.set("eps", 1e-5);
  module.attributes.set("size", int64_t{8});
  EXPECT_TRUE(module.has_attribute("eps"));
  EXPECT_FALSE(module.has_attribute("scale"));
  EXPECT_EQ(module.float_attribute("eps"), 1e-5);
  EXPECT_EQ(module.int_attribute("size"), 8);
  EXPECT_THROW(module.float_attribute("size"), InternalError);
  EXPECT_THROW(module.int_attribute("scale"), InternalError);
}

TEST(NamedList, KeepsTheOrderOfInsertion) {
  NamedList<int> list;
  list.set("b", 1);
  list.set("a", 2);
  list.set("b", 3);
  EXPECT_EQ(paths(list), (std::vector<std::string>{"b", "a"}));
  EXPECT_EQ(*list.find("b"), 3);
  EXPECT_TRUE(list.erase("b"));
  EXPECT_FALSE(list.erase("b"));
  EXPECT_EQ(list.size(), 1u);
  EXPECT_EQ(list.find("b"), nullptr);
}

TEST(NamedList, LargeOnesAreTheSame) {
  NamedList<int> list;
  for (int i = 0; i < 1000; ++i) list.set(std::to_string(i), i);
  for (int i = 0; i < 1000; i += 2) list.set(std::to_string(i), -i);
  for (int i = 0; i < 1000; i += 3) EXPECT_TRUE(list.erase(std::to_string(i)));
  const NamedList<int> copy = list;
  list.set("new", 7);
  const NamedList<int> moved = std::move(list);
  int expected = 1;
  for (const auto& [name, value] : copy) {
    EXPECT_EQ(name, std::to_string(expected));
    EXPECT_EQ(value, expected % 2 == 0 ? -expected : expected);
    EXPECT_EQ(*moved.find(name), value);
    expected += expected % 3 == 1 ? 1 : 2;
  }
  EXPECT_EQ(copy.size(), 666u);
  EXPECT_EQ(copy.find("999"), nullptr);
  EXPECT_EQ(copy.find("new"), nullptr);
  EXPECT_EQ(*moved.find("new"), 7);
}

TEST(ScalarTypes, GoThereAndBack) {
  for (const DType dtype :
       {DType::kBool, DType::kU8, DType::kI8, DType::kI16, DType::kU16, DType::kI32, DType::kU32,
        DType::kI64, DType::kU64, DType::kF8E4M3, DType::kF8E5M2, DType::kF8E8M0, DType::kF16,
        DType::kBF16, DType::kF32, DType::kF64}) {
    const at::ScalarType type = to_scalar_type(dtype);
    EXPECT_EQ(to_dtype(type), dtype);
    EXPECT_EQ(c10::elementSize(type), dtype_size(dtype));
    EXPECT_EQ(scalar_type_from_name(scalar_type_name(type)), type);
  }
  EXPECT_THROW(to_dtype(at::kComplexFloat), InternalError);
  EXPECT_THROW(scalar_type_name(at::kComplexFloat), InternalError);
  EXPECT_EQ(scalar_type_from_name("float"), std::nullopt);
}

}  // namespace
}  // namespace lathe::ir
