#pragma once

#include <vector>

#include "kernels/matrix.h"

/// The kernels' results, element by element, from the scalar codecs of formats/ alone.
namespace lathe::kernels::reference {

std::vector<float> amax(const Matrix& x, formats::BlockShape block);
formats::Scales scales(const formats::Format& format, const Matrix& x, float global_scale);
Matrix fake_quantize(const formats::Format& format, const Matrix& x,
                     const formats::ScalesView& scales);
std::vector<std::byte> encode(const formats::Format& format, const Matrix& x,
                              const formats::ScalesView& scales, formats::Packing packing);
Matrix decode(const formats::Format& format, const std::vector<std::byte>& packed,
              formats::Packing packing, const formats::ScalesView& scales, DType dtype,
              int64_t rows, int64_t cols);

}  // namespace lathe::kernels::reference
