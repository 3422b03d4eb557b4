#pragma once

#include <cstdint>

#include "base/checked.h"
#include "kernels/attention.h"

namespace lathe::kernels {

/// Queries of a piece of work. The heads that share a key head are queries of one matrix, whose
/// rows are token * group + head.
inline constexpr int64_t kPieceQueries = 128;

/// One call of attention, cut into pieces that need nothing of each other.
struct AttentionWork {
  DType dtype;
  Attention shape;
  Heads query, key, value;
  MutableHeads result;

  int64_t group() const { return shape.heads / shape.key_heads; }
  int64_t rows() const { return shape.queries * group(); }
  int64_t pieces_per_head() const { return ceil_div(rows(), kPieceQueries); }
  int64_t pieces() const { return shape.batch * shape.key_heads * pieces_per_head(); }
};

}  // namespace lathe::kernels
