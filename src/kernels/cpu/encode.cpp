#include "kernels/cpu/block_scales.h"
#include "kernels/cpu/packed.h"
#include "kernels/simd.h"

namespace lathe::kernels {

namespace {
template <class Scales>
void encode_piece(const formats::Format& format, MatrixView x, const Scales& scales,
                  int64_t block_cols, const Piece& piece, uint8_t* codes) {
  ScaleRoom room;
  const float* piece_scales = scales.of(piece, room);
  encode_row(format.element, elements(x, piece), block_cols, piece_scales, codes);
}

template <class Scales>
void encode_pieces(const formats::Format& format, MatrixView x, const Scales& scales,
                   const PackedMatrix& packed, const Pieces& pieces, std::byte* out) {
  pieces.for_each([&](const Piece& piece) {
    std::byte* to = out + packed.offset(piece);
    const auto encode = [&](const Piece& part, uint8_t* codes) {
      encode_piece(format, x, scales, pieces.block_cols(), part, codes);
    };
    if (packed.plain_bytes()) return encode(piece, reinterpret_cast<uint8_t*>(to));
    if (packed.row_pairs() && piece.row % 2 != 0) return;  // done with the row above
    const auto codes = code_room(piece);
    encode(piece, codes.get());
    if (!packed.row_pairs()) return packed.pack(piece, codes.get(), nullptr, to);
    const auto odd_codes = code_room(piece);
    encode(packed.next_row(piece), odd_codes.get());
    packed.pack(piece, codes.get(), odd_codes.get(), to);
  });
}

void check_scale_room(const formats::Format& format, MatrixView x,
                      formats::MutableScalesView scales) {
  check_scales(format, x, {format.scale, scales.values, scales.codes, 1.0f});
}
}  // namespace

void encode(const formats::Format& format, MatrixView x, const formats::ScalesView& scales,
            formats::Packing packing, std::span<std::byte> out) {
  init_simd();
  check_matrix(x);
  check_scales(format, x, scales);
  const PackedMatrix packed(format, packing, x, static_cast<int64_t>(out.size()));
  encode_pieces(format, x, GivenScales{scales}, packed, packed.cut(false), out.data());
}

void encode_dynamic(const formats::Format& format, MatrixView x, float global_scale,
                    formats::Packing packing, std::span<std::byte> out,
                    formats::MutableScalesView scales) {
  init_simd();
  check_matrix(x);
  check_global_scale(format, global_scale);
  check_scale_room(format, x, scales);
  if (!fits_one_pass(format, x)) {
    const formats::Scales computed = compute_scales(format, x, global_scale);
    std::copy(computed.values.begin(), computed.values.end(), scales.values.begin());
    std::copy(computed.codes.begin(), computed.codes.end(), scales.codes.begin());
    return encode(format, x, computed.view(), packing, out);
  }
  const PackedMatrix packed(format, packing, x, static_cast<int64_t>(out.size()));
  const Pieces pieces = packed.cut(true);
  const ComputedScales source{format, x, pieces.block_cols(), global_scale, scales};
  encode_pieces(format, x, source, packed, pieces, out.data());
}

}  // namespace lathe::kernels
