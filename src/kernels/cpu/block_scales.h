#pragma once

#include "kernels/cpu/views.h"

namespace lathe::kernels {

/// Room for the float32 scales of one piece.
struct ScaleRoom {
  float scales[kPieceSize];
  uint8_t codes[kPieceSize];
};

/// Scales that are given.
struct GivenScales {
  formats::ScalesView scales;

  /// The float32 scales of the piece's blocks, in `room` or where they are.
  const float* of(const Piece& piece, ScaleRoom& room) const;
};

/// Scales that are computed from the data; pieces must hold whole blocks. Stored in `stored` if it
/// has room.
struct ComputedScales {
  formats::Format format;
  MatrixView x;
  int64_t block_cols;
  float global_scale;
  formats::MutableScalesView stored;

  const float* of(const Piece& piece, ScaleRoom& room) const;
};

/// Whether the scales can be computed piece by piece: blocks of one row, not so long that the
/// second look at them would read memory again.
bool fits_one_pass(const formats::Format& format, MatrixView x);

/// The scales of the whole matrix, in a pass of their own.
formats::Scales compute_scales(const formats::Format& format, MatrixView x, float global_scale);

/// The values of a piece's codes, with all that the format does to them.
void decode_piece(const formats::Format& format, const uint8_t* codes, const GivenScales& scales,
                  int64_t block_cols, const Piece& piece, MutableMatrixView y);

}  // namespace lathe::kernels
