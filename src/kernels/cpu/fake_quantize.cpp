#include "kernels/cpu/block_scales.h"
#include "kernels/cpu/packed.h"
#include "kernels/simd.h"

namespace lathe::kernels {

namespace {
/// From this size on the output would only push other data out of the caches.
constexpr int64_t kStreamBytes = int64_t{16} << 20;

template <class Scales>
void round_pieces(const formats::Format& format, MatrixView x, const Scales& scales,
                  const Pieces& pieces, MutableMatrixView y) {
  const int64_t bytes = y.rows * y.cols * static_cast<int64_t>(dtype_size(y.dtype));
  const bool stream = bytes >= kStreamBytes && x.data != y.data;
  pieces.for_each([&](const Piece& piece) {
    ScaleRoom room;
    const float* piece_scales = scales.of(piece, room);
    round_row(format.element, elements(x, piece), pieces.block_cols(), piece_scales,
              elements(y, piece).data, stream);
  });
}

/// What is rounded twice goes through its codes.
void round_through_codes(const formats::Format& format, MatrixView x, const GivenScales& scales,
                         const Pieces& pieces, MutableMatrixView y) {
  pieces.for_each([&](const Piece& piece) {
    ScaleRoom room;
    const auto codes = code_room(piece);
    encode_row(format.element, elements(x, piece), pieces.block_cols(), scales.of(piece, room),
               codes.get());
    decode_piece(format, codes.get(), scales, pieces.block_cols(), piece, y);
  });
}
}  // namespace

void fake_quantize(const formats::Format& format, MatrixView x, const formats::ScalesView& scales,
                   MutableMatrixView y) {
  init_simd();
  check_matrix(x);
  check_same_shape(x, y);
  check_scales(format, x, scales);
  const Pieces pieces(format.block, x.rows, x.cols);
  if (format.then_fp8) check_global_scale(format, scales.global_scale);
  if (format.then_fp8) return round_through_codes(format, x, GivenScales{scales}, pieces, y);
  round_pieces(format, x, GivenScales{scales}, pieces, y);
}

void fake_quantize_dynamic(const formats::Format& format, MatrixView x, float global_scale,
                           MutableMatrixView y) {
  init_simd();
  check_matrix(x);
  check_same_shape(x, y);
  check_global_scale(format, global_scale);
  if (format.then_fp8 || !fits_one_pass(format, x)) {
    return fake_quantize(format, x, compute_scales(format, x, global_scale).view(), y);
  }
  const Pieces pieces(format.block, x.rows, x.cols, {.whole_blocks = true});
  const ComputedScales scales{format, x, pieces.block_cols(), global_scale, {}};
  round_pieces(format, x, scales, pieces, y);
}

}  // namespace lathe::kernels
