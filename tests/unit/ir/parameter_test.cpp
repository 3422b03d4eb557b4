#include "ir/parameter.h"

#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "lathe/error.h"

namespace lathe::ir {
namespace {

TEST(Parameter, LoaderIsCalledOnce) {
  int calls = 0;
  const Parameter parameter(at::kFloat, {2, 3}, [&] {
    ++calls;
    return at::ones({2, 3});
  });
  EXPECT_FALSE(parameter.is_loaded());
  EXPECT_EQ(parameter.numel(), 6);
  EXPECT_EQ(parameter.bytes(), 24);
  EXPECT_EQ(calls, 0);
  const void* first = parameter.tensor().const_data_ptr();
  EXPECT_EQ(parameter.tensor().const_data_ptr(), first);
  EXPECT_TRUE(parameter.is_loaded());
  EXPECT_EQ(calls, 1);
}

TEST(Parameter, ReleasedValuesAreReadAgain) {
  int calls = 0;
  const Parameter parameter(at::kFloat, {}, [&] { return at::full({}, ++calls, at::kFloat); });
  EXPECT_EQ(parameter.tensor().item<float>(), 1);
  parameter.release();
  EXPECT_FALSE(parameter.is_loaded());
  EXPECT_EQ(parameter.tensor().item<float>(), 2);
}

TEST(Parameter, ValuesWithoutASourceStay) {
  const Parameter parameter(at::ones({2}));
  parameter.release();
  EXPECT_TRUE(parameter.is_loaded());
  EXPECT_EQ(parameter.dtype(), at::kFloat);
  EXPECT_EQ(parameter.shape(), std::vector<int64_t>{2});
}

TEST(Parameter, SetReplacesForGood) {
  Parameter parameter(at::kFloat, {2}, [] { return at::ones({2}); });
  parameter.set(at::full({3}, 7, at::kHalf));
  parameter.release();
  EXPECT_EQ(parameter.dtype(), at::kHalf);
  EXPECT_EQ(parameter.shape(), std::vector<int64_t>{3});
  EXPECT_EQ(parameter.tensor()[0].item<float>(), 7);
}

std::string mismatch(at::ScalarType dtype, std::vector<int64_t> shape) {
  const Parameter parameter(dtype, std::move(shape), [] { return at::ones({2, 3}); });
  try {
    parameter.tensor();
  } catch (const InternalError& error) {
    EXPECT_FALSE(parameter.is_loaded());
    return error.what();
  }
  return "no error";
}

TEST(Parameter, SourcesMustGiveWhatIsDeclared) {
  EXPECT_NE(mismatch(at::kHalf, {2, 3}).find("gave f32[2, 3] for f16[2, 3]"), std::string::npos);
  EXPECT_NE(mismatch(at::kFloat, {3, 2}).find("gave f32[2, 3] for f32[3, 2]"), std::string::npos);
  EXPECT_EQ(mismatch(at::kFloat, {2, 3}), "no error");
}

TEST(Parameter, NeitherValueNorSource) {
  const Parameter parameter(at::kFloat, {1}, nullptr);
  EXPECT_THROW(parameter.tensor(), InternalError);
}

}  // namespace
}  // namespace lathe::ir
