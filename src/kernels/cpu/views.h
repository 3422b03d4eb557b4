#pragma once

#include "kernels/cpu/pieces.h"
#include "kernels/cpu/rows.h"
#include "kernels/kernels.h"

namespace lathe::kernels {

/// InternalErrors for matrices that the kernels cannot read, and for sizes that do not fit.
void check_matrix(MatrixView x);
void check_same_shape(MatrixView x, MatrixView y);
void check_scales(const formats::Format& format, MatrixView x, const formats::ScalesView& scales);
void check_global_scale(const formats::Format& format, float global_scale);

/// The elements of a piece.
ConstElements elements(MatrixView x, const Piece& piece);
MutableElements elements(MutableMatrixView y, const Piece& piece);

}  // namespace lathe::kernels
