#include "kernels/cpu/block_scales.h"

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace lathe::kernels {

using formats::ScaleKind;

const float* GivenScales::of(const Piece& piece, ScaleRoom& room) const {
  switch (scales.kind) {
    case ScaleKind::kFloat32:
      return scales.values.data() + piece.cell;
    case ScaleKind::kE4M3TwoLevel:
      two_level_values_row(scales.codes.data() + piece.cell, piece.blocks, scales.global_scale,
                           room.scales);
      return room.scales;
    case ScaleKind::kE8M0:
      e8m0_values_row(scales.codes.data() + piece.cell, piece.blocks, room.scales);
      return room.scales;
  }
  throw_internal("scale kind {}", static_cast<int>(scales.kind));
}

const float* ComputedScales::of(const Piece& piece, ScaleRoom& room) const {
  std::fill_n(room.scales, piece.blocks, 0.0f);
  amax_row(elements(x, piece), block_cols, room.scales);
  const float bound = formats::max_bound(format.element);
  uint8_t* codes = stored.codes.empty() ? room.codes : stored.codes.data() + piece.cell;
  switch (format.scale) {
    case ScaleKind::kFloat32:
      for (int64_t i = 0; i < piece.blocks; ++i) {
        room.scales[i] = formats::scale_from_amax(room.scales[i], bound);
      }
      if (!stored.values.empty()) {
        std::copy_n(room.scales, piece.blocks, stored.values.data() + piece.cell);
      }
      break;
    case ScaleKind::kE4M3TwoLevel:
      two_level_scales_row(room.scales, piece.blocks, bound, global_scale, codes, room.scales);
      break;
    case ScaleKind::kE8M0:
      e8m0_scales_row(room.scales, piece.blocks, bound, codes, room.scales);
      break;
  }
  return room.scales;
}

bool fits_one_pass(const formats::Format& format, MatrixView x) {
  constexpr int64_t kCached = 65536;
  const int64_t block_cols = format.block.cols == 0 ? x.cols : format.block.cols;
  const bool one_row = format.block.rows == 1 || (format.block.rows == 0 && x.rows == 1);
  const bool empty = x.rows == 0 || x.cols == 0;  // has no pieces, but may have scales
  return one_row && block_cols <= kCached && !empty;
}

formats::Scales compute_scales(const formats::Format& format, MatrixView x, float global_scale) {
  const auto grid = formats::grid_shape(format.block, x.rows, x.cols);
  std::vector<float> amax_grid(static_cast<size_t>(grid.size()));
  amax(x, format.block, amax_grid);
  return formats::scales_from_amax(format, amax_grid, global_scale);
}

}  // namespace lathe::kernels
