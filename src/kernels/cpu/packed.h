#pragma once

#include <memory>

#include "kernels/cpu/views.h"

namespace lathe::kernels {

/// A packed matrix, cut as its elements are.
class PackedMatrix {
 public:
  /// `bytes` is the matrix's size in memory, which is checked.
  PackedMatrix(const formats::Format& format, formats::Packing packing, MatrixView x,
               int64_t bytes);

  /// How the elements must be cut so that each piece packs alone.
  Pieces cut(bool whole_blocks) const;
  bool row_pairs() const { return packing_ == formats::Packing::kNibbleRowPairs; }
  bool plain_bytes() const { return packing_ == formats::Packing::kBytes; }

  /// Where a piece (with the one below it, for row pairs) lies, and how long it is, in bytes.
  int64_t offset(const Piece& piece) const;
  int64_t size(const Piece& piece) const;

  /// Codes of a piece to bytes and back. `odd_codes`: those of the next row, for row pairs.
  void pack(const Piece& piece, const uint8_t* codes, const uint8_t* odd_codes,
            std::byte* out) const;
  void unpack(const Piece& piece, const std::byte* packed, uint8_t* codes,
              uint8_t* odd_codes) const;

  /// The piece below a piece.
  Piece next_row(const Piece& piece) const;

 private:
  formats::Format format_;
  formats::Packing packing_;
  MatrixView x_;
};

/// Room for the codes of a piece.
std::unique_ptr<uint8_t[]> code_room(const Piece& piece);

}  // namespace lathe::kernels
