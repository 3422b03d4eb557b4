// What is evaluated is what is shipped: a quantizer's values are those of the packed tensor.
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <gtest/gtest.h>

#include "kernels/kernels.h"
#include "quantization/tensor_matrix.h"
#include "testing.h"
#include "unit/ops/tensors.h"

namespace lathe::quantization {
namespace {

/// decode(encode(x)) with the scales of the quantizer.
at::Tensor through_codes(const TensorQuantizer& quantizer, const at::Tensor& x) {
  const formats::Format& format = quantizer.format().format;
  const kernels::MatrixView from = matrix_view(x, "x");
  constexpr auto kPacking = formats::Packing::kBytes;
  std::vector<std::byte> codes(
      static_cast<size_t>(formats::packed_size(kPacking, format.element, from.rows, from.cols)));
  formats::Scales scales = quantizer.scales();
  if (quantizer.format().dynamic) {
    const float global = scales.global_scale;
    const auto cells = formats::grid_shape(format.block, from.rows, from.cols).size();
    scales = formats::Scales::make(format.scale, cells, global);
    kernels::encode_dynamic(format, from, global, kPacking, codes, scales.mutable_view());
  } else {
    kernels::encode(format, from, scales.view(), kPacking, codes);
  }
  at::Tensor y = at::empty_like(x);
  kernels::decode(format, codes, kPacking, scales.view(), mutable_matrix_view(y, "y"));
  return y;
}

TEST(PackedValues, AreThoseOfTheQuantizer) {
  std::vector<QuantizerAttributes> all;
  for (const char* name : {"fp8", "int8", "int8_per_channel", "int4", "nvfp4", "nvfp4_bs32",
                           "mxfp8", "mxfp6", "mxfp4", "mxint8"}) {
    all.push_back(attributes_of(name));
  }
  all.push_back({.num_bits = kE4M3, .axis = {0}});
  all.push_back({.num_bits = kE4M3, .block_sizes = BlockSizes{.sizes = {{-1, 128}, {-2, 128}}}});
  for (const QuantizerAttributes& attributes : all) {
    for (const at::ScalarType dtype : kFloatTypes) {
      SCOPED_TRACE(testing::Message() << describe(attributes) << " of " << dtype);
      const at::Tensor x = random_tensor({128, 384}, dtype, 1, 0.1f);
      TensorQuantizer quantizer = make_quantizer(attributes);
      quantizer.observe(x);
      quantizer.finish();
      const at::Tensor y = quantizer.forward(x);
      EXPECT_TRUE(y.equal(through_codes(quantizer, x)));
      EXPECT_FALSE(y.equal(x));
    }
  }
}

TEST(PackedValues, MatricesOfTensors) {
  const auto shape = [](const at::Tensor& x) {
    const kernels::MatrixView view = matrix_view(x, "x");
    return std::pair(view.rows, view.cols);
  };
  const at::Tensor x = random_tensor({2, 3, 4}, at::kHalf, 1);
  EXPECT_EQ(shape(x), std::pair(int64_t{6}, int64_t{4}));
  EXPECT_EQ(shape(x[0][0]), std::pair(int64_t{1}, int64_t{4}));
  EXPECT_EQ(shape(x[0][0][0]), std::pair(int64_t{1}, int64_t{1}));
  EXPECT_EQ(shape(x.slice(0, 0, 0)), std::pair(int64_t{0}, int64_t{4}));
  EXPECT_EQ(shape(x.slice(2, 0, 0).contiguous()), std::pair(int64_t{0}, int64_t{0}));
  EXPECT_EQ(matrix_view(x, "x").dtype, DType::kF16);
}

}  // namespace
}  // namespace lathe::quantization
