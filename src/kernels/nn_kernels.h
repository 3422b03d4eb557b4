#pragma once

#include <cstdint>

#include "lathe/dtype.h"

namespace lathe::kernels {

// The operators of a transformer block that eager ATen spends several passes over memory on. dtype:
// F32, BF16 or F16; arithmetic in float32, rounded to dtype where PyTorch's separate operators
// round, so that results are theirs up to the order of a sum. Parallel; results do not depend on
// the number of threads.

/// y = round(x / sqrt(mean(x^2) + eps)) * weight, each row of `size` elements (Zhang & Sennrich
/// 2019, arXiv:1910.07467). With weight_offset o != 0 (the 1 + weight norms): y = round(x / rms *
/// (o + weight)). x, y: [rows, size]; weight: [size].
struct RmsNorm {
  int64_t rows;
  int64_t size;
  float eps;
  float weight_offset;
};
void rms_norm(DType dtype, const RmsNorm& shape, const void* x, const void* weight, void* y);

/// sum = round(a + b); y = rms_norm(sum).
void add_rms_norm(DType dtype, const RmsNorm& shape, const void* a, const void* b,
                  const void* weight, void* sum, void* y);

/// y = round(silu(gate)) * up, `count` elements (Shazeer 2020, arXiv:2002.05202).
void swiglu(DType dtype, int64_t count, const void* gate, const void* up, void* y);

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864), halves rotated:
/// y = round(x * cos) + round(rotate_half(x) * sin).
/// x: [batch, heads, tokens, size] by strides (in elements; the last is 1); cos, sin: [batch or 1,
/// tokens, size]; y: contiguous [batch, heads, tokens, size].
struct Rotary {
  int64_t batch, heads, tokens, size;
  int64_t batch_stride, head_stride, token_stride;
  int64_t table_batch_stride;  // of cos and sin; 0 if all of the batch share them
};
void rotary_embedding(DType dtype, const Rotary& shape, const void* x, const void* cos,
                      const void* sin, void* y);

}  // namespace lathe::kernels
