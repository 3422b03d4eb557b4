#pragma once

#include <ATen/core/Tensor.h>

#include "lathe/tensor.h"
#include "ops/interpreter.h"

namespace lathe::api {

/// The same memory, seen from the other side; both keep it alive.
at::Tensor to_torch(const Tensor& tensor);
Tensor from_torch(const at::Tensor& tensor);

ops::NamedTensors to_torch(const NamedTensors& tensors);
NamedTensors from_torch(const ops::NamedTensors& tensors);

}  // namespace lathe::api
