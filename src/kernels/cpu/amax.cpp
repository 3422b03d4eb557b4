#include <atomic>
#include <bit>
#include <cmath>

#include "base/error.h"
#include "base/float16.h"
#include "kernels/cpu/views.h"
#include "kernels/simd.h"

namespace lathe::kernels {

namespace {
/// The larger by bits: NaN wins over infinity, infinity over numbers.
float larger(float a, float b) {
  return std::bit_cast<float>(std::max(std::bit_cast<uint32_t>(a), std::bit_cast<uint32_t>(b)));
}

void merge(float& cell, float value) {
  std::atomic_ref<float> shared(cell);
  float before = shared.load(std::memory_order_relaxed);
  while (std::bit_cast<uint32_t>(before) < std::bit_cast<uint32_t>(value) &&
         !shared.compare_exchange_weak(before, value, std::memory_order_relaxed)) {
  }
}

float value_at(MatrixView x, int64_t i) {
  if (x.dtype == DType::kF32) return static_cast<const float*>(x.data)[i];
  const uint16_t bits = static_cast<const uint16_t*>(x.data)[i];
  return x.dtype == DType::kBF16 ? float_from_bf16(bits) : float_from_f16(bits);
}

/// Only looked at when there are some: the kernel sees them in the maximum.
int64_t count_nonfinite(MatrixView x) {
  int64_t count = 0;
  for (int64_t i = 0; i < x.rows * x.cols; ++i) count += !std::isfinite(value_at(x, i));
  return count;
}
}  // namespace

AmaxResult amax(MatrixView x, formats::BlockShape block, std::span<float> grid) {
  init_simd();
  check_matrix(x);
  const auto shape = formats::grid_shape(block, x.rows, x.cols);
  check_internal(static_cast<int64_t>(grid.size()) == shape.size(),
                 "room for {} amax values, expected {}", grid.size(), shape.size());
  std::fill(grid.begin(), grid.end(), 0.0f);

  const Pieces pieces(block, x.rows, x.cols);
  pieces.for_each([&](const Piece& piece) {
    float* cells = grid.data() + piece.cell;
    if (!pieces.cells_are_shared()) return amax_row(elements(x, piece), pieces.block_cols(), cells);
    float own[kPieceSize];
    std::fill_n(own, piece.blocks, 0.0f);
    amax_row(elements(x, piece), pieces.block_cols(), own);
    for (int64_t i = 0; i < piece.blocks; ++i) merge(cells[i], own[i]);
  });

  AmaxResult result;
  for (const float cell : grid) result.amax = larger(result.amax, cell);
  if (!std::isfinite(result.amax)) result.nonfinite = count_nonfinite(x);
  return result;
}

}  // namespace lathe::kernels
