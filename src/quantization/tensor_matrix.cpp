#include "quantization/tensor_matrix.h"

#include "base/error.h"
#include "ir/scalar_types.h"

namespace lathe::quantization {

kernels::MatrixView matrix_view(const at::Tensor& tensor, const std::string& where) {
  const at::ScalarType type = tensor.scalar_type();
  if (type != at::kFloat && type != at::kBFloat16 && type != at::kHalf) {
    throw_data("{}: tensors of {} cannot be quantized, only float32, bfloat16 and float16", where,
               c10::toString(type));
  }
  check_internal(tensor.is_contiguous(), "{}: a tensor that is not contiguous", where);
  const int64_t cols = tensor.dim() == 0 ? 1 : tensor.size(-1);
  const int64_t rows = cols == 0 ? 0 : tensor.numel() / cols;
  return {tensor.const_data_ptr(), ir::to_dtype(type), rows, cols};
}

kernels::MutableMatrixView mutable_matrix_view(const at::Tensor& tensor, const std::string& where) {
  const kernels::MatrixView view = matrix_view(tensor, where);
  return {tensor.mutable_data_ptr(), view.dtype, view.rows, view.cols};
}

}  // namespace lathe::quantization
