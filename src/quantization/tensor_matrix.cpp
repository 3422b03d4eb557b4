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

at::Tensor to_channel_rows(const at::Tensor& tensor, std::optional<int64_t> channel_axis) {
  if (!channel_axis) return tensor.contiguous();
  const int64_t channels = tensor.size(*channel_axis);
  return tensor.movedim(*channel_axis, 0).reshape({channels, -1}).contiguous();
}

at::Tensor from_channel_rows(const at::Tensor& rows, at::IntArrayRef sizes,
                             std::optional<int64_t> channel_axis) {
  if (!channel_axis) return rows.view(sizes);
  std::vector<int64_t> moved = sizes.vec();
  moved.erase(moved.begin() + *channel_axis);
  moved.insert(moved.begin(), sizes[static_cast<size_t>(*channel_axis)]);
  return rows.view(moved).movedim(0, *channel_axis).contiguous();
}

}  // namespace lathe::quantization
