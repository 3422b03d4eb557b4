#include "kernels/cpu/pieces.h"

#include <numeric>

namespace lathe::kernels {

Pieces::Pieces(formats::BlockShape block, int64_t rows, int64_t cols, PieceOptions options)
    : rows_(rows),
      cols_(cols),
      block_rows_(block.rows == 0 ? rows : std::min(block.rows, rows)),
      block_cols_(block.cols == 0 ? cols : std::min(block.cols, cols)) {
  if (rows == 0 || cols == 0) return;
  if (!options.keep_rows && cols % options.unit == 0) join_rows();
  grid_cols_ = ceil_div(cols_, block_cols_);
  cut(options);
}

void Pieces::join_rows() {
  const bool one_block = block_rows_ == rows_ && block_cols_ == cols_;
  const bool in_rows = block_rows_ == 1 && cols_ % block_cols_ == 0;
  if (!one_block && !in_rows) return;
  cols_ *= rows_;
  if (one_block) block_cols_ = cols_;
  rows_ = 1;
  block_rows_ = 1;
}

void Pieces::cut(const PieceOptions& options) {
  const int64_t step = std::lcm(block_cols_, options.unit);
  if (step <= kPieceSize) {
    piece_cols_ = kPieceSize / step * step;
  } else if (options.whole_blocks) {
    piece_cols_ = step;
  } else if (block_cols_ % options.unit == 0 || block_cols_ >= cols_) {
    piece_cols_ = std::min(kPieceSize / options.unit * options.unit, block_cols_);
    pieces_per_block_ = ceil_div(block_cols_, piece_cols_);
  } else {
    piece_cols_ = step;
  }
  pieces_per_row_ =
      pieces_per_block_ > 1 ? grid_cols_ * pieces_per_block_ : ceil_div(cols_, piece_cols_);
}

Piece Pieces::at(int64_t index) const {
  const int64_t row = index / pieces_per_row_;
  const int64_t in_row = index % pieces_per_row_;
  int64_t col = in_row * piece_cols_;
  int64_t end = std::min(cols_, col + piece_cols_);
  if (pieces_per_block_ > 1) {
    const int64_t block = in_row / pieces_per_block_ * block_cols_;
    col = block + in_row % pieces_per_block_ * piece_cols_;
    end = std::min({cols_, block + block_cols_, col + piece_cols_});
  }
  const int64_t cell = row / block_rows_ * grid_cols_ + col / block_cols_;
  const int64_t blocks = ceil_div(end, block_cols_) - col / block_cols_;
  return {row, col, end - col, row * cols_ + col, cell, blocks};
}

}  // namespace lathe::kernels
