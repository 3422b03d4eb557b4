#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "kernels/kernels.h"

namespace lathe::quantization {

/// A contiguous tensor as the matrix that kernels see: [.., K] is rows of K; [K] and scalars are
/// one row. DataError that begins with `where` if the dtype is not float32, bfloat16 or float16.
kernels::MatrixView matrix_view(const at::Tensor& tensor, const std::string& where);
kernels::MutableMatrixView mutable_matrix_view(const at::Tensor& tensor, const std::string& where);

/// The tensor, contiguous, as its matrix is made from: with a channel axis [C, rest], a row for
/// each index of that dimension; without one as it is.
at::Tensor to_channel_rows(const at::Tensor& tensor, std::optional<int64_t> channel_axis);
/// The inverse, contiguous, for a tensor of these sizes.
at::Tensor from_channel_rows(const at::Tensor& rows, at::IntArrayRef sizes,
                             std::optional<int64_t> channel_axis);

}  // namespace lathe::quantization
