// Every value of the 16-bit dtypes through every element, on every instruction set, against the
// scalar codecs.
#include <bit>
#include <cmath>
#include <random>

#include "kernels/reference.h"
#include "kernels/samples.h"
#include "kernels/targets.h"

namespace lathe::kernels {
namespace {

using formats::Element;
using formats::Format;
using formats::ScalesView;

std::vector<Element> elements() {
  std::vector<Element> result{formats::kE4M3, formats::kE5M2, formats::kE2M1, formats::kE3M2,
                              formats::kE2M3};
  for (int bits = 2; bits <= 8; ++bits) {
    for (const bool narrow : {false, true}) {
      Element element = formats::int_element(bits);
      element.narrow_range = narrow;
      result.push_back(element);
    }
    Element element = formats::int_element(bits);
    element.is_unsigned = true;
    result.push_back(element);
  }
  return result;
}

void expect_reference(Element element, const Matrix& x, float scale) {
  const Format format{element, formats::kPerTensor};
  const std::vector<float> values{scale};
  const ScalesView scales{formats::ScaleKind::kFloat32, values, {}, 1.0f};
  SCOPED_TRACE(testing::Message() << formats::element_name(element) << " of " << dtype_name(x.dtype)
                                  << ", scale " << scale);
  const Matrix rounded = reference::fake_quantize(format, x, scales);

  const auto codes = reference::encode(format, x, scales, formats::Packing::kBytes);
  on_each_target([&] {
    std::vector<std::byte> own(codes.size());
    encode(format, x.view(), scales, formats::Packing::kBytes, own);
    EXPECT_TRUE(own == codes);
    Matrix y(x.dtype, x.rows, x.cols);
    fake_quantize(format, x.view(), scales, y.mutable_view());
    EXPECT_TRUE(y == rounded);
    decode(format, own, formats::Packing::kBytes, scales, y.mutable_view());
    EXPECT_TRUE(y == rounded);
  });
}

TEST(ElementKernels, RoundEveryHalfPrecisionValue) {
  for (const Element element : elements()) {
    for (const DType dtype : {DType::kBF16, DType::kF16}) {
      const Matrix x = all_halves(dtype);
      for (const float scale : {1.0f, 0.0371f, 0x1p-127f, 1e20f}) {
        expect_reference(element, x, scale);
      }
    }
  }
}

// Random bits, and the neighbourhood of every value and midpoint of the element.
Matrix floats_around(Element element, float scale) {
  std::vector<float> values;
  for (int code = 0; code < 1 << element.bits; ++code) {
    const float value = formats::decode(element, static_cast<uint8_t>(code));
    const float next = formats::decode(element, static_cast<uint8_t>(code + 1));
    for (const float x : {value * scale, (value + next) / 2 * scale}) {
      values.insert(values.end(), {x, std::nextafter(x, -INFINITY), std::nextafter(x, INFINITY)});
    }
  }
  std::mt19937 random(5);
  while (values.size() < 20000)
    values.push_back(std::bit_cast<float>(static_cast<uint32_t>(random())));
  Matrix x(DType::kF32, 1, static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) x.set(static_cast<int64_t>(i), values[i]);
  return x;
}

TEST(ElementKernels, RoundFloat32AroundEveryBoundary) {
  for (const Element element : elements()) {
    for (const float scale : {1.0f, 0.0371f, 3.1e-38f, 1e30f}) {
      expect_reference(element, floats_around(element, scale), scale);
    }
  }
}

// From a damaged file: the values must be NaN, whatever the NaN.
TEST(ElementKernels, KeepNanScales) {
  const std::vector<std::byte> codes(256, std::byte{0x21});
  const Format format{formats::kE4M3, formats::BlockShape{1, 16}};
  for (const uint32_t nan : {0x7fc00000u, 0x7fffffffu, 0xffffffffu, 0x7f800001u}) {
    const std::vector<float> values(16, std::bit_cast<float>(nan));
    const ScalesView scales{formats::ScaleKind::kFloat32, values, {}, 1.0f};
    for (const DType dtype : kDTypes) {
      on_each_target([&] {
        Matrix y(dtype, 1, 256);
        decode(format, codes, formats::Packing::kBytes, scales, y.mutable_view());
        for (int64_t i = 0; i < 256; ++i) ASSERT_TRUE(std::isnan(y.get(i))) << i;
      });
    }
  }
}

TEST(ElementKernels, DecodeEveryByteToEveryDType) {
  std::vector<std::byte> codes(256);
  for (size_t i = 0; i < 256; ++i) codes[i] = static_cast<std::byte>(i);
  for (const Element element : elements()) {
    const Format format{element, formats::kPerTensor};
    for (const DType dtype : kDTypes) {
      for (const float scale : {1.0f, 0.0371f, 1e3f, 1e-7f}) {
        const std::vector<float> values{scale};
        const ScalesView scales{formats::ScaleKind::kFloat32, values, {}, 1.0f};
        const Matrix expected =
            reference::decode(format, codes, formats::Packing::kBytes, scales, dtype, 1, 256);
        on_each_target([&] {
          Matrix y(dtype, 1, 256);
          decode(format, codes, formats::Packing::kBytes, scales, y.mutable_view());
          EXPECT_TRUE(y == expected) << formats::element_name(element) << " " << dtype_name(dtype);
        });
      }
    }
  }
}

}  // namespace
}  // namespace lathe::kernels
