#include <memory>

#include "kernels/cpu/block_scales.h"
#include "kernels/cpu/packed.h"
#include "kernels/simd.h"

namespace lathe::kernels {

namespace {
/// The values of the codes, and those rounded to E4M3.
void decode_twice(const formats::Format& format, const uint8_t* codes, int64_t block_cols,
                  const float* scales, float fp8_scale, MutableElements y) {
  const auto values = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(y.count));
  const auto fp8 = std::make_unique_for_overwrite<uint8_t[]>(static_cast<size_t>(y.count));
  decode_row(format.element, codes, block_cols, scales, {values.get(), DType::kF32, y.count});
  encode_row(formats::kE4M3, {values.get(), DType::kF32, y.count}, y.count, &fp8_scale, fp8.get());
  decode_row(formats::kE4M3, fp8.get(), y.count, &fp8_scale, y);
}
}  // namespace

void decode_piece(const formats::Format& format, const uint8_t* codes, const GivenScales& scales,
                  int64_t block_cols, const Piece& piece, MutableMatrixView y) {
  ScaleRoom room;
  const float* piece_scales = scales.of(piece, room);
  if (format.then_fp8) {
    const float fp8_scale = scales.scales.global_scale;
    decode_twice(format, codes, block_cols, piece_scales, fp8_scale, elements(y, piece));
  } else {
    decode_row(format.element, codes, block_cols, piece_scales, elements(y, piece));
  }
}

void decode(const formats::Format& format, std::span<const std::byte> codes,
            formats::Packing packing, const formats::ScalesView& scales, MutableMatrixView y) {
  init_simd();
  check_matrix(y);
  check_scales(format, y, scales);
  if (format.then_fp8) check_global_scale(format, scales.global_scale);
  const PackedMatrix packed(format, packing, y, static_cast<int64_t>(codes.size()));
  const Pieces pieces = packed.cut(false);
  const GivenScales source{scales};
  pieces.for_each([&](const Piece& piece) {
    const std::byte* from = codes.data() + packed.offset(piece);
    const auto decode = [&](const Piece& part, const uint8_t* part_codes) {
      decode_piece(format, part_codes, source, pieces.block_cols(), part, y);
    };
    if (packed.plain_bytes()) return decode(piece, reinterpret_cast<const uint8_t*>(from));
    if (packed.row_pairs() && piece.row % 2 != 0) return;  // done with the row above
    const auto even = code_room(piece);
    const auto odd = packed.row_pairs() ? code_room(piece) : nullptr;
    packed.unpack(piece, from, even.get(), odd.get());
    decode(piece, even.get());
    if (packed.row_pairs()) decode(packed.next_row(piece), odd.get());
  });
}

}  // namespace lathe::kernels
