#include "kernels/cpu/packed.h"

#include "base/error.h"

namespace lathe::kernels {

using formats::Packing;

PackedMatrix::PackedMatrix(const formats::Format& format, Packing packing, MatrixView x,
                           int64_t bytes)
    : format_(format), packing_(packing), x_(x) {
  const int64_t expected = formats::packed_size(packing, format.element, x.rows, x.cols);
  check_internal(bytes == expected, "{} bytes for {}x{} packed as {}, expected {}", bytes, x.rows,
                 x.cols, formats::packing_name(packing), expected);
}

Pieces PackedMatrix::cut(bool whole_blocks) const {
  const int64_t unit = formats::packing_unit(packing_, format_.element);
  return Pieces(format_.block, x_.rows, x_.cols,
                {.unit = unit, .whole_blocks = whole_blocks, .keep_rows = row_pairs()});
}

int64_t PackedMatrix::offset(const Piece& piece) const {
  if (row_pairs()) return piece.row / 2 * x_.cols + piece.col;
  const int64_t rows_above = formats::packed_size(packing_, format_.element, piece.row, x_.cols);
  return rows_above + formats::packed_size(packing_, format_.element, 1, piece.col);
}

int64_t PackedMatrix::size(const Piece& piece) const {
  return formats::packed_size(packing_, format_.element, row_pairs() ? 2 : 1, piece.count);
}

void PackedMatrix::pack(const Piece& piece, const uint8_t* codes, const uint8_t* odd_codes,
                        std::byte* out) const {
  auto* bytes = reinterpret_cast<uint8_t*>(out);
  if (packing_ == Packing::kNibbles) return pack_nibbles_row(codes, piece.count, bytes);
  if (row_pairs()) return pack_nibble_columns_row(codes, odd_codes, piece.count, bytes);
  if (packing_ == Packing::kInt32Offset && format_.element.bits == 4 && piece.count % 8 == 0 &&
      !format_.element.is_unsigned) {
    // Eight nibbles in the order of the bytes, and 8 more than the code is the code with its
    // highest bit flipped.
    pack_nibbles_row(codes, piece.count, bytes);
    for (int64_t i = 0; i < piece.count / 2; ++i) bytes[i] ^= 0x88;
    return;
  }
  const auto count = static_cast<size_t>(piece.count);
  formats::pack_row(packing_, format_.element, {codes, count}, {odd_codes, row_pairs() ? count : 0},
                    {out, static_cast<size_t>(size(piece))});
}

void PackedMatrix::unpack(const Piece& piece, const std::byte* packed, uint8_t* codes,
                          uint8_t* odd_codes) const {
  if (packing_ == Packing::kNibbles) {
    return unpack_nibbles_row(reinterpret_cast<const uint8_t*>(packed), piece.count, codes);
  }
  const auto count = static_cast<size_t>(piece.count);
  formats::unpack_row(packing_, format_.element, {packed, static_cast<size_t>(size(piece))},
                      {codes, count}, {odd_codes, row_pairs() ? count : 0});
}

Piece PackedMatrix::next_row(const Piece& piece) const {
  const auto grid = formats::grid_shape(format_.block, x_.rows, x_.cols);
  const int64_t row = piece.row + 1;
  const int64_t grid_row = format_.block.rows == 0 ? 0 : row / format_.block.rows;
  Piece next = piece;
  next.row = row;
  next.offset += x_.cols;
  next.cell = grid_row * grid.cols + piece.cell % grid.cols;
  return next;
}

std::unique_ptr<uint8_t[]> code_room(const Piece& piece) {
  return std::make_unique_for_overwrite<uint8_t[]>(static_cast<size_t>(piece.count));
}

}  // namespace lathe::kernels
