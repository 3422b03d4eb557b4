#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace lathe {

inline constexpr at::ScalarType kFloatTypes[] = {at::kFloat, at::kBFloat16, at::kHalf};

/// Normally distributed values; the same seed gives the same tensor.
at::Tensor random_tensor(std::vector<int64_t> shape, at::ScalarType dtype, uint32_t seed,
                         float deviation = 1.0f);

/// The most steps of their dtype (float32, bfloat16, float16) between two tensors' elements.
int64_t most_steps(const at::Tensor& a, const at::Tensor& b);

}  // namespace lathe
