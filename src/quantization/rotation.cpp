#include "quantization/rotation.h"

#include <ATen/ops/stack.h>

#include <bit>
#include <cmath>

#include "base/error.h"

namespace lathe::quantization {

at::Tensor rotate(const at::Tensor& x, const Rotation& rotation, const std::string& where) {
  const int64_t size = x.dim() == 0 ? 1 : x.size(-1);
  const int64_t largest = size & -size;
  const int64_t block = rotation.block_size.value_or(largest);
  if (!std::has_single_bit(static_cast<uint64_t>(block)) || block < 1 || size % block != 0) {
    throw_user(
        "{}: a rotation in blocks of {} of an axis of {}: expected a power of two that "
        "divides it",
        where, block, size);
  }
  at::Tensor y = x.to(at::kFloat).reshape({-1, block});
  for (int64_t half = 1; half < block; half *= 2) {
    const at::Tensor pairs = y.view({-1, block / (2 * half), 2, half});
    const at::Tensor low = pairs.select(2, 0);
    const at::Tensor high = pairs.select(2, 1);
    y = at::stack({low.add(high), low.sub(high)}, 2).view({-1, block});
  }
  return y.mul(1.0 / std::sqrt(static_cast<double>(block))).reshape(x.sizes()).to(x.scalar_type());
}

}  // namespace lathe::quantization
