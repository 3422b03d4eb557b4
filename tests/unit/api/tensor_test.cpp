#include "lathe/tensor.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "lathe/error.h"

namespace lathe {
namespace {

TEST(Tensor, HoldsItsValues) {
  const Tensor tensor = Tensor::of<int64_t>({1, 2, 3, 4, 5, 6}, {2, 3});
  EXPECT_EQ(tensor.dtype(), DType::kI64);
  EXPECT_EQ(tensor.numel(), 6);
  EXPECT_EQ(tensor.bytes(), 48u);
  EXPECT_EQ(tensor.values<int64_t>()[5], 6);
}

TEST(Tensor, RefusesAnotherCountOrType) {
  EXPECT_THROW(Tensor::of<float>({1, 2, 3}, {2, 2}), UserError);
  EXPECT_THROW(Tensor::of<float>({1}, {1}).values<int64_t>(), UserError);
}

TEST(Tensor, FilesGiveBackWhatWasWritten) {
  const auto path = std::filesystem::path(testing::TempDir()) / "lathe-tensors.safetensors";
  save_tensors(path.string(),
               {{"a", Tensor::of<float>({1.5f, -2}, {2, 1})}, {"b", Tensor::of<int64_t>({7}, {})}});
  const NamedTensors read = load_tensors(path.string());
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read.at("a").shape(), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(read.at("a").values<float>()[1], -2);
  EXPECT_TRUE(read.at("b").shape().empty());
  std::filesystem::remove(path);
  EXPECT_THROW(load_tensors(path.string()), UserError);
}

}  // namespace
}  // namespace lathe
