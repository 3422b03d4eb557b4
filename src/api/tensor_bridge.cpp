#include "api/tensor_bridge.h"

#include <ATen/ops/from_blob.h>

#include "ir/scalar_types.h"

namespace lathe::api {

at::Tensor to_torch(const Tensor& tensor) {
  const auto options = at::TensorOptions().dtype(ir::to_scalar_type(tensor.dtype()));
  return at::from_blob(
      const_cast<void*>(tensor.data()), tensor.shape(), [tensor](void*) {}, options);
}

Tensor from_torch(const at::Tensor& tensor) {
  auto owner = std::make_shared<const at::Tensor>(tensor.contiguous());
  return Tensor(ir::to_dtype(owner->scalar_type()), owner->sizes().vec(), owner->const_data_ptr(),
                owner);
}

ops::NamedTensors to_torch(const NamedTensors& tensors) {
  ops::NamedTensors result;
  for (const auto& [name, tensor] : tensors) result[name] = to_torch(tensor);
  return result;
}

NamedTensors from_torch(const ops::NamedTensors& tensors) {
  NamedTensors result;
  for (const auto& [name, tensor] : tensors) result[name] = from_torch(tensor);
  return result;
}

}  // namespace lathe::api
