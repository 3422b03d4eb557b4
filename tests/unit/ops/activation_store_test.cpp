#include "ops/activation_store.h"

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "lathe/error.h"
#include "unit/ops/tensors.h"

namespace lathe::ops {
namespace {

TEST(ActivationStore, CountsWhatItKeepsInMemory) {
  ActivationStore store(1000);
  const at::Tensor value = random_tensor({10, 10}, at::kFloat, 1);
  EXPECT_EQ(store.bytes_in_memory(), 0u);
  at::Tensor kept = store.keep(value);
  EXPECT_TRUE(kept.equal(value));
  EXPECT_EQ(kept.const_data_ptr(), value.const_data_ptr()) << "no copy";
  EXPECT_EQ(store.bytes_in_memory(), 400u);
  at::Tensor second = store.keep(random_tensor({150}, at::kFloat, 2));
  EXPECT_EQ(store.bytes_in_memory(), 1000u);
  kept = at::Tensor();
  EXPECT_EQ(store.bytes_in_memory(), 600u);
  second = at::Tensor();
  EXPECT_EQ(store.bytes_in_memory(), 0u);
}

TEST(ActivationStore, SpillsBeyondTheBudget) {
  ActivationStore store(500);
  const at::Tensor value = random_tensor({10, 10}, at::kFloat, 1);
  const at::Tensor kept = store.keep(value);
  const at::Tensor spilled = store.keep(value);
  EXPECT_EQ(store.bytes_in_memory(), 400u) << "the second is in a file";
  EXPECT_NE(spilled.const_data_ptr(), value.const_data_ptr());
  EXPECT_TRUE(spilled.equal(value));
  const at::Tensor small = store.keep(value[0]);
  EXPECT_EQ(store.bytes_in_memory(), 440u) << "what fits is still kept";
}

TEST(ActivationStore, KeepsEveryDtypeAndShape) {
  for (const size_t budget : {size_t{0}, size_t{1} << 20}) {
    ActivationStore store(budget);
    for (const at::ScalarType dtype :
         {at::kFloat, at::kBFloat16, at::kHalf, at::kLong, at::kBool}) {
      const at::Tensor value = random_tensor({3, 4, 5}, at::kFloat, 1, 9.0f).to(dtype);
      for (const at::Tensor& view : {value, value.transpose(0, 2), value.slice(1, 1, 3),
                                     value[0][0].expand({7, 5}), value[0][0][0]}) {
        const at::Tensor kept = store.keep(view);
        EXPECT_TRUE(kept.equal(view));
        EXPECT_EQ(kept.scalar_type(), dtype);
        EXPECT_TRUE(kept.is_contiguous());
      }
    }
    const at::Tensor none = store.keep(random_tensor({0, 3}, at::kFloat, 1));
    EXPECT_EQ(none.sizes(), (at::IntArrayRef{0, 3}));
    EXPECT_EQ(store.bytes_in_memory(), 0u);
  }
}

TEST(ActivationStore, ValuesOutliveTheStore) {
  const at::Tensor value = random_tensor({50}, at::kFloat, 1);
  at::Tensor kept, spilled;
  {
    ActivationStore store(200);
    kept = store.keep(value);
    spilled = store.keep(value);
  }
  EXPECT_TRUE(kept.equal(value));
  EXPECT_TRUE(spilled.equal(value));
}

TEST(ActivationStore, NamesTheFolderThatItCannotWriteTo) {
  const char* before = std::getenv("TMPDIR");
  const std::string saved = before ? before : "";
  setenv("TMPDIR", "/no/such/folder", 1);
  std::string message;
  try {
    ActivationStore(0).keep(random_tensor({50}, at::kFloat, 1));
  } catch (const UserError& error) {
    message = error.what();
  }
  before ? setenv("TMPDIR", saved.c_str(), 1) : unsetenv("TMPDIR");
  EXPECT_EQ(message.substr(0, 34), "/no/such/folder/lathe-activations-") << message;
}

}  // namespace
}  // namespace lathe::ops
