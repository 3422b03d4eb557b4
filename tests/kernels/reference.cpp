#include "kernels/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lathe::kernels::reference {

namespace {
int64_t cell_of(formats::BlockShape block, const Matrix& x, int64_t row, int64_t col) {
  const auto grid = formats::grid_shape(block, x.rows, x.cols);
  const int64_t grid_row = block.rows == 0 ? 0 : row / block.rows;
  return grid_row * grid.cols + (block.cols == 0 ? 0 : col / block.cols);
}

/// function(index of the element, its cell)
template <class Function>
void for_each(formats::BlockShape block, const Matrix& x, const Function& function) {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t col = 0; col < x.cols; ++col) {
      function(row * x.cols + col, cell_of(block, x, row, col));
    }
  }
}

std::vector<uint8_t> codes(const formats::Format& format, const Matrix& x,
                           const formats::ScalesView& scales) {
  std::vector<uint8_t> result;
  for_each(format.block, x, [&](int64_t i, int64_t cell) {
    result.push_back(formats::encode(format.element, x.get(i) / scales.effective(cell)));
  });
  return result;
}

Matrix values(const formats::Format& format, const std::vector<uint8_t>& codes,
              const formats::ScalesView& scales, DType dtype, int64_t rows, int64_t cols) {
  Matrix y(dtype, rows, cols);
  for_each(format.block, y, [&](int64_t i, int64_t cell) {
    float value =
        formats::decode(format.element, codes[static_cast<size_t>(i)]) * scales.effective(cell);
    if (format.then_fp8) {
      const uint8_t fp8 = formats::encode(formats::kE4M3, value / scales.global_scale);
      value = formats::decode(formats::kE4M3, fp8) * scales.global_scale;
    }
    y.set(i, value);
  });
  return y;
}
}  // namespace

std::vector<float> amax(const Matrix& x, formats::BlockShape block) {
  std::vector<float> result(static_cast<size_t>(formats::grid_shape(block, x.rows, x.cols).size()));
  for_each(block, x, [&](int64_t i, int64_t cell) {
    float& most = result[static_cast<size_t>(cell)];
    const float magnitude = std::fabs(x.get(i));
    if (std::bit_cast<uint32_t>(magnitude) > std::bit_cast<uint32_t>(most)) most = magnitude;
  });
  return result;
}

formats::Scales scales(const formats::Format& format, const Matrix& x, float global_scale) {
  auto result = formats::scales_from_amax(format, amax(x, format.block), global_scale);
  if (!format.four_over_six()) return result;
  std::vector<std::vector<float>> blocks(result.codes.size());
  for_each(format.block, x,
           [&](int64_t i, int64_t cell) { blocks[static_cast<size_t>(cell)].push_back(x.get(i)); });
  std::ranges::transform(blocks, result.codes.begin(), [&](const std::vector<float>& block) {
    return formats::four_over_six_code(block, global_scale);
  });
  return result;
}

Matrix fake_quantize(const formats::Format& format, const Matrix& x,
                     const formats::ScalesView& scales) {
  return values(format, codes(format, x, scales), scales, x.dtype, x.rows, x.cols);
}

std::vector<std::byte> encode(const formats::Format& format, const Matrix& x,
                              const formats::ScalesView& scales, formats::Packing packing) {
  const auto all = codes(format, x, scales);
  const auto cols = static_cast<size_t>(x.cols);
  const int64_t step = packing == formats::Packing::kNibbleRowPairs ? 2 : 1;
  std::vector<std::byte> result;
  for (int64_t row = 0; row < x.rows; row += step) {
    std::vector<std::byte> packed(
        static_cast<size_t>(formats::packed_size(packing, format.element, step, x.cols)));
    const auto* even = all.data() + static_cast<size_t>(row) * cols;
    formats::pack_row(packing, format.element, {even, cols}, {even + cols, step == 2 ? cols : 0},
                      packed);
    result.insert(result.end(), packed.begin(), packed.end());
  }
  return result;
}

Matrix decode(const formats::Format& format, const std::vector<std::byte>& packed,
              formats::Packing packing, const formats::ScalesView& scales, DType dtype,
              int64_t rows, int64_t cols) {
  const auto width = static_cast<size_t>(cols);
  const int64_t step = packing == formats::Packing::kNibbleRowPairs ? 2 : 1;
  const auto size = static_cast<size_t>(formats::packed_size(packing, format.element, step, cols));
  std::vector<uint8_t> all(static_cast<size_t>(rows * cols));
  for (int64_t row = 0; row < rows; row += step) {
    auto* even = all.data() + static_cast<size_t>(row) * width;
    formats::unpack_row(packing, format.element,
                        {packed.data() + static_cast<size_t>(row / step) * size, size},
                        {even, width}, {even + width, step == 2 ? width : 0});
  }
  return values(format, all, scales, dtype, rows, cols);
}

}  // namespace lathe::kernels::reference
