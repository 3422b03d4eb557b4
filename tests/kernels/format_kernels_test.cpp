// Every format on matrices of awkward shapes, on every instruction set, against the scalar codecs.
#include "base/error.h"
#include "kernels/reference.h"
#include "kernels/samples.h"
#include "kernels/targets.h"

namespace lathe::kernels {
namespace {

using formats::Format;
using formats::Packing;
using formats::Scales;

struct Shape {
  int64_t rows;
  int64_t cols;
};
constexpr Shape kShapes[] = {{1, 1},     {2, 16},    {3, 5},   {4, 31},    {7, 129},
                             {130, 257}, {64, 512},  {2, 96},  {2, 20001}, {1, 70000},
                             {2, 8192},  {1000, 16}, {16, 33}, {2, 0},     {0, 16}};

std::vector<Format> all_formats() {
  std::vector<Format> result;
  for (const formats::NamedFormat& named : formats::named_formats()) {
    result.push_back(named.format);
  }
  // Blocks that are no multiples of vectors, whole columns, blocks longer than a piece.
  result.push_back({formats::kE4M3, {0, 1}});
  result.push_back({formats::kInt4, {1, 10}});
  result.push_back({formats::kInt8, {3, 7}});
  result.push_back({formats::kE4M3, {1, 10001}});
  result.push_back({formats::kE2M1, {1, 24}, formats::ScaleKind::kE4M3TwoLevel});
  result.push_back({formats::int_element(3), {1, 64}});
  return result;
}

std::vector<Packing> packings(const Format& format, int64_t rows) {
  std::vector<Packing> result{Packing::kBytes};
  const bool is_int = format.element.kind == formats::ElementKind::kInt;
  if (format.element.bits == 4) result.push_back(Packing::kNibbles);
  if (format.element.bits == 4 && rows % 2 == 0) result.push_back(Packing::kNibbleRowPairs);
  if (format.element.bits == 6) result.push_back(Packing::kSixBits);
  if (is_int) result.push_back(Packing::kInt32Offset);
  return result;
}

float global_scale(const Format& format, const Matrix& x) {
  return formats::global_scale_from_amax(format, reference::amax(x, formats::kPerTensor)[0]);
}

/// function(format, matrix) for all formats, dtypes and shapes.
template <class Function>
void for_each(const Function& function) {
  for (const Format& format : all_formats()) {
    for (const DType dtype : kDTypes) {
      for (const Shape& shape : kShapes) {
        SCOPED_TRACE(testing::Message() << formats::format_name(format) << " " << dtype_name(dtype)
                                        << " " << shape.rows << "x" << shape.cols);
        function(format, sample(dtype, shape.rows, shape.cols, 11));
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(FormatKernels, Amax) {
  for_each([](const Format& format, const Matrix& x) {
    const auto expected = reference::amax(x, format.block);
    const float most = reference::amax(x, formats::kPerTensor)[0];
    on_each_target([&] {
      std::vector<float> grid(expected.size(), -1.0f);
      const AmaxResult result = amax(x.view(), format.block, grid);
      EXPECT_EQ(grid, expected);
      EXPECT_EQ(result.nonfinite, 0);
      EXPECT_EQ(result.amax, most);
    });
  });
}

TEST(FormatKernels, FakeQuantize) {
  for_each([](const Format& format, const Matrix& x) {
    const float global = global_scale(format, x);
    const Scales scales = reference::scales(format, x, global);
    const Matrix expected = reference::fake_quantize(format, x, scales.view());
    on_each_target([&] {
      Matrix y(x.dtype, x.rows, x.cols);
      fake_quantize(format, x.view(), scales.view(), y.mutable_view());
      EXPECT_TRUE(y == expected);
      Matrix dynamic(x.dtype, x.rows, x.cols);
      fake_quantize_dynamic(format, x.view(), global, dynamic.mutable_view());
      EXPECT_TRUE(dynamic == expected);
      Matrix in_place = x;
      fake_quantize(format, in_place.view(), scales.view(), in_place.mutable_view());
      EXPECT_TRUE(in_place == expected);
    });
  });
}

void expect_encoding(const Format& format, const Matrix& x, const Scales& scales,
                     const std::vector<std::byte>& expected, Packing packing,
                     const Matrix& rounded) {
  std::vector<std::byte> packed(expected.size(), std::byte{0xaa});
  encode(format, x.view(), scales.view(), packing, packed);
  EXPECT_TRUE(packed == expected);

  std::vector<std::byte> dynamic(expected.size(), std::byte{0xaa});
  Scales own = Scales::make(format.scale, scales.view().size(), scales.global_scale);
  encode_dynamic(format, x.view(), scales.global_scale, packing, dynamic, own.mutable_view());
  EXPECT_TRUE(dynamic == expected);
  EXPECT_EQ(own.codes, scales.codes);
  EXPECT_EQ(own.values, scales.values);

  Matrix y(x.dtype, x.rows, x.cols);
  decode(format, packed, packing, scales.view(), y.mutable_view());
  EXPECT_TRUE(y == rounded);
}

TEST(FormatKernels, EncodeAndDecode) {
  for_each([](const Format& format, const Matrix& x) {
    const Scales scales = reference::scales(format, x, global_scale(format, x));
    const Matrix rounded = reference::fake_quantize(format, x, scales.view());
    for (const Packing packing : packings(format, x.rows)) {
      SCOPED_TRACE(formats::packing_name(packing));
      const auto expected = reference::encode(format, x, scales.view(), packing);
      on_each_target([&] { expect_encoding(format, x, scales, expected, packing, rounded); });
    }
  });
}

// Above this size outputs are written past the caches: another code path, the same bits.
TEST(LargeOutputs, AreTheSameAsSmallOnes) {
  for (const DType dtype : kDTypes) {
    const Matrix small = sample(dtype, 64, 1024, 3);
    Matrix x(dtype, 64 * 160, 1024);
    for (size_t i = 0; i < x.bytes.size(); ++i) x.bytes[i] = small.bytes[i % small.bytes.size()];
    for (const Format& format : {formats::kFp8PerChannel, formats::kNvfp4, formats::kInt8PerTensor,
                                 Format{formats::kInt4, {1, 24}}}) {
      const float global = global_scale(format, small);
      Matrix expected(dtype, small.rows, small.cols);
      fake_quantize_dynamic(format, small.view(), global, expected.mutable_view());
      Matrix y(dtype, x.rows, x.cols);
      fake_quantize_dynamic(format, x.view(), global, y.mutable_view());
      for (size_t i = 0; i < y.bytes.size(); i += expected.bytes.size()) {
        ASSERT_EQ(std::memcmp(y.bytes.data() + i, expected.bytes.data(), expected.bytes.size()), 0)
            << formats::format_name(format) << " " << dtype_name(dtype) << " at " << i;
      }
    }
  }
}

TEST(Threads, DoNotChangeResults) {
  const int before = max_threads();
  const Matrix x = sample(DType::kBF16, 300, 1000, 4);
  for (const Format& format : all_formats()) {
    const float global = global_scale(format, x);
    std::vector<Matrix> results;
    std::vector<std::vector<float>> grids;
    for (const int threads : {1, 2, 5}) {
      set_threads(threads);
      results.emplace_back(x.dtype, x.rows, x.cols);
      fake_quantize_dynamic(format, x.view(), global, results.back().mutable_view());
      grids.emplace_back(
          static_cast<size_t>(formats::grid_shape(format.block, x.rows, x.cols).size()));
      amax(x.view(), format.block, grids.back());
    }
    set_threads(before);
    EXPECT_TRUE(results[0] == results[1] && results[0] == results[2]);
    EXPECT_TRUE(grids[0] == grids[1] && grids[0] == grids[2]);
  }
}

TEST(Amax, CountsWhatIsNotFinite) {
  for (const DType dtype : kDTypes) {
    Matrix x = sample(dtype, 5, 300, 6);
    x.set(17, INFINITY);
    x.set(299, -INFINITY);
    x.set(1400, NAN);
    for (const formats::BlockShape block :
         {formats::kPerTensor, formats::kPerChannel, formats::BlockShape{1, 16}}) {
      std::vector<float> grid(static_cast<size_t>(formats::grid_shape(block, 5, 300).size()));
      EXPECT_EQ(amax(x.view(), block, grid).nonfinite, 3);
    }
    std::vector<float> rows(5);
    amax(x.view(), formats::kPerChannel, rows);
    EXPECT_EQ(rows[0], INFINITY);
    EXPECT_TRUE(std::isfinite(rows[1]));
    EXPECT_TRUE(std::isnan(rows[4]));
  }
}

TEST(Kernels, AcceptTensorsOfZeros) {
  const Matrix x(DType::kBF16, 4, 64);
  for (const Format& format : all_formats()) {
    Matrix y = sample(DType::kBF16, 4, 64, 9);
    fake_quantize_dynamic(format, x.view(), formats::global_scale_from_amax(format, 0.0f),
                          y.mutable_view());
    EXPECT_TRUE(y == x) << formats::format_name(format);
  }
}

TEST(Kernels, RefuseSizesThatDoNotFit) {
  const Matrix x(DType::kBF16, 4, 64);
  Matrix y(DType::kBF16, 4, 63);
  Matrix other(DType::kF32, 4, 64);
  const Scales scales = Scales::make(formats::ScaleKind::kFloat32, 1);
  std::vector<float> grid(3);
  std::vector<std::byte> packed(255);
  EXPECT_THROW(amax(x.view(), formats::kPerChannel, grid), InternalError);
  EXPECT_THROW(fake_quantize(formats::kFp8, x.view(), scales.view(), y.mutable_view()),
               InternalError);
  EXPECT_THROW(fake_quantize(formats::kFp8, x.view(), scales.view(), other.mutable_view()),
               InternalError);
  EXPECT_THROW(fake_quantize(formats::kFp8PerChannel, x.view(), scales.view(), y.mutable_view()),
               InternalError);
  EXPECT_THROW(encode(formats::kFp8, x.view(), scales.view(), Packing::kBytes, packed),
               InternalError);
  Matrix z(DType::kBF16, 4, 64);
  EXPECT_THROW(fake_quantize_dynamic(formats::kNvfp4, x.view(), 0.0f, z.mutable_view()),
               InternalError);
  const MatrixView bytes{x.bytes.data(), DType::kU8, 4, 64};
  EXPECT_THROW(amax(bytes, formats::kPerTensor, {grid.data(), 1}), InternalError);
}

}  // namespace
}  // namespace lathe::kernels
