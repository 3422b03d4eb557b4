#include "frontends/mapped_tensor.h"

#include <ATen/ops/from_blob.h>

#include <cstdint>

namespace lathe::frontends {

at::Tensor map_tensor(const std::shared_ptr<const MappedFile>& file, size_t offset,
                      at::ScalarType dtype, const std::vector<int64_t>& shape) {
  // LibTorch has no tensors of const memory.
  auto* data = const_cast<std::byte*>(file->bytes().data() + offset);
  size_t bytes = c10::elementSize(dtype);
  for (int64_t extent : shape) bytes *= static_cast<size_t>(extent);
  const bool aligned = reinterpret_cast<uintptr_t>(data) % c10::elementSize(dtype) == 0;
  const auto options = at::TensorOptions().dtype(aligned ? dtype : at::kByte);
  const std::vector<int64_t> byte_shape = {static_cast<int64_t>(bytes)};
  const at::Tensor mapped = at::from_blob(
      data, aligned ? shape : byte_shape,
      [file, offset, bytes](void*) { file->release(offset, bytes); }, options);
  return aligned ? mapped : mapped.clone().view(dtype).view(shape);
}

}  // namespace lathe::frontends
