#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "kernels/kernels.h"

namespace lathe::quantization {

/// A contiguous tensor as the matrix that kernels see: [.., K] is rows of K; [K] and scalars are
/// one row. DataError that begins with `where` if the dtype is not float32, bfloat16 or float16.
kernels::MatrixView matrix_view(const at::Tensor& tensor, const std::string& where);
kernels::MutableMatrixView mutable_matrix_view(const at::Tensor& tensor, const std::string& where);

}  // namespace lathe::quantization
