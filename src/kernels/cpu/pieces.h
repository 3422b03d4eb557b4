#pragma once

#include <algorithm>
#include <cstdint>

#include "base/checked.h"
#include "base/parallel.h"
#include "formats/format.h"

namespace lathe::kernels {

/// The largest piece of blocks, in elements: its data, codes and scales fit the first-level caches.
inline constexpr int64_t kPieceSize = 8192;

/// A part of one row. It starts at the start of a block, or lies inside one.
struct Piece {
  int64_t row;
  int64_t col;
  int64_t count;   // elements
  int64_t offset;  // of its first element in the matrix
  int64_t cell;    // of its first block in the scale grid
  int64_t blocks;  // that it touches: cells cell, cell + 1, ...
};

struct PieceOptions {
  int64_t unit = 1;  // columns that a packing keeps together: pieces start at multiples of it
  bool whole_blocks = false;  // no piece inside a block, however long the block is
  bool keep_rows = false;     // pieces know their true row
};

/// How a matrix is cut into pieces for the vector code. Rows that follow each other in memory and
/// in the scale grid become one long row.
class Pieces {
 public:
  Pieces(formats::BlockShape block, int64_t rows, int64_t cols, PieceOptions options = {});

  /// Columns that share a scale.
  int64_t block_cols() const { return block_cols_; }
  /// Columns of a row after rows were joined.
  int64_t row_cols() const { return cols_; }
  /// Several pieces may touch the same cell.
  bool cells_are_shared() const { return block_rows_ > 1 || pieces_per_block_ > 1; }

  /// function(piece) for all pieces, in parallel.
  template <class Function>
  void for_each(const Function& function) const {
    const int64_t grain = std::max<int64_t>(1, 4 * kPieceSize / piece_cols_);
    parallel_for(0, rows_ * pieces_per_row_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Piece piece = at(i);
        if (piece.count > 0) function(piece);
      }
    });
  }

 private:
  void join_rows();
  void cut(const PieceOptions& options);
  Piece at(int64_t index) const;

  int64_t rows_;
  int64_t cols_;
  int64_t block_rows_;
  int64_t block_cols_;
  int64_t grid_cols_ = 1;
  int64_t piece_cols_ = 1;
  int64_t pieces_per_block_ = 1;  // more than one: blocks are cut
  int64_t pieces_per_row_ = 0;
};

}  // namespace lathe::kernels
