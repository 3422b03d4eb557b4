#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "formats/format.h"
#include "formats/packing.h"
#include "formats/scale.h"
#include "lathe/dtype.h"

/// Kernels over whole matrices on the CPU: pointers in, pointers out, parallel inside. Results do
/// not depend on the number of threads or on the instruction set. Sizes that do not fit each other
/// are InternalErrors. A tensor of another rank is seen as a matrix by its caller: [numel] as one
/// row, [N, ...] as N rows.
///
/// fake_quantize(x) == decode(encode(x)) bit for bit: decode(code) * scale in float32, rounded once
/// (ties to even) to the dtype of the output.
namespace lathe::kernels {

/// A contiguous row-major matrix of F32, BF16 or F16.
struct MatrixView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
};

struct MutableMatrixView {
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;

  operator MatrixView() const { return {data, dtype, rows, cols}; }
};

struct AmaxResult {
  int64_t nonfinite =
      0;  // how many elements are NaN or infinite: name the tensor and stop if there are any
  float amax = 0.0f;  // of the whole matrix
};

/// max |x| of each block, in one pass over x; grid has grid_shape(block, rows, cols).size() cells.
/// Blocks that hold NaN or infinities get NaN or infinity.
AmaxResult amax(MatrixView x, formats::BlockShape block, std::span<float> grid);

/// y = decode(encode(x / scale)) * scale. y has x's dtype and shape, and may be x itself.
void fake_quantize(const formats::Format& format, MatrixView x, const formats::ScalesView& scales,
                   MutableMatrixView y);

/// The same with scales that are computed from x itself (per token, NVFP4, MX), fused. global_scale
/// is used by kE4M3TwoLevel alone (formats::global_scale_from_amax).
void fake_quantize_dynamic(const formats::Format& format, MatrixView x, float global_scale,
                           MutableMatrixView y);

/// The packed codes of x; out has formats::packed_size bytes.
void encode(const formats::Format& format, MatrixView x, const formats::ScalesView& scales,
            formats::Packing packing, std::span<std::byte> out);

/// The same with scales that are computed from x itself and written to `scales` (one per cell of
/// the grid), in one pass over x where blocks lie in one row.
void encode_dynamic(const formats::Format& format, MatrixView x, float global_scale,
                    formats::Packing packing, std::span<std::byte> out,
                    formats::MutableScalesView scales);

/// The values of packed codes.
void decode(const formats::Format& format, std::span<const std::byte> codes,
            formats::Packing packing, const formats::ScalesView& scales, MutableMatrixView y);

}  // namespace lathe::kernels
