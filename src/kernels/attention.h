#pragma once

#include <cstdint>

#include "lathe/dtype.h"

namespace lathe::kernels {

/// softmax(scale * Q K^T) V for many heads (Vaswani et al. 2017, arXiv:1706.03762) without the
/// matrix of scores in memory: the softmax is kept up block by block (Dao et al. 2022,
/// arXiv:2205.14135). Q [batch, heads, queries, size], K [batch, key_heads, keys, size], V [batch,
/// key_heads, keys, value_size], the result [batch, heads, queries, value_size]; heads is a
/// multiple of key_heads, and heads / key_heads heads that follow each other share a key head.
///
/// Query i sees the keys from i + first to i + last, both included: {-keys, 0} is causal,
/// {-queries, keys} sees all. Keys that no query of a piece sees are never read. The result of a
/// query that sees nothing, or whose scores are all -infinity, is 0.
struct Attention {
  int64_t batch, heads, key_heads, queries, keys, size, value_size;
  int64_t first, last;
  float scale;
};

/// Strides in elements; that of the last dimension is 1.
struct HeadStrides {
  int64_t batch, head, token;
};

struct Heads {
  const void* data;
  HeadStrides strides;
};

struct MutableHeads {
  void* data;
  HeadStrides strides;
};

/// All in one dtype: F32, BF16 or F16. Scores, probabilities and sums are float32; the result is
/// rounded once. It does not depend on the number of threads, nor on the instruction set among
/// those that multiply and add in one rounding. Memory grows with the head sizes alone.
void attention(DType dtype, const Attention& shape, const Heads& query, const Heads& key,
               const Heads& value, const MutableHeads& result);

}  // namespace lathe::kernels
