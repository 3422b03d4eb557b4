#include "kernels/cpu/views.h"

#include <cmath>

#include "base/error.h"

namespace lathe::kernels {

void check_matrix(MatrixView x) {
  const bool known = x.dtype == DType::kF32 || x.dtype == DType::kBF16 || x.dtype == DType::kF16;
  check_internal(known, "kernels take F32, BF16 and F16, found {}", dtype_name(x.dtype));
  check_internal(x.rows >= 0 && x.cols >= 0, "matrix of {} by {}", x.rows, x.cols);
  check_internal(x.data != nullptr || x.rows == 0 || x.cols == 0, "matrix without data");
}

void check_same_shape(MatrixView x, MatrixView y) {
  check_internal(x.rows == y.rows && x.cols == y.cols && x.dtype == y.dtype,
                 "matrices differ: {} {}x{} and {} {}x{}", dtype_name(x.dtype), x.rows, x.cols,
                 dtype_name(y.dtype), y.rows, y.cols);
}

void check_scales(const formats::Format& format, MatrixView x, const formats::ScalesView& scales) {
  const auto grid = formats::grid_shape(format.block, x.rows, x.cols);
  check_internal(scales.kind == format.scale && scales.size() == grid.size(),
                 "{} {} scales for {} of {}x{}, expected {}", scales.size(),
                 formats::scale_kind_name(scales.kind), formats::format_name(format), x.rows,
                 x.cols, grid.size());
}

void check_global_scale(const formats::Format& format, float global_scale) {
  if (!format.has_global_scale()) return;
  check_internal(std::isfinite(global_scale) && global_scale > 0, "global scale of {} is {}",
                 formats::format_name(format), global_scale);
}

ConstElements elements(MatrixView x, const Piece& piece) {
  const size_t skip = static_cast<size_t>(piece.offset) * dtype_size(x.dtype);
  return {static_cast<const std::byte*>(x.data) + skip, x.dtype, piece.count};
}

MutableElements elements(MutableMatrixView y, const Piece& piece) {
  const size_t skip = static_cast<size_t>(piece.offset) * dtype_size(y.dtype);
  return {static_cast<std::byte*>(y.data) + skip, y.dtype, piece.count};
}

}  // namespace lathe::kernels
