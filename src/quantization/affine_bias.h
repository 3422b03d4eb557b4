#pragma once

#include <ATen/core/Tensor.h>

#include "quantization/config/attributes.h"

namespace lathe::quantization {

/// The bias of a tensor over the axes that `how` lists (those that it has), float32, with these
/// axes of size 1: the mean, or the middle between the largest and the smallest value.
at::Tensor bias_of(const at::Tensor& x, const Bias& how);

/// x - bias_of(x), float32.
at::Tensor centered(const at::Tensor& x, const Bias& how);

/// The bias of all data that was seen, and the amax of the data around it: it does not depend on
/// the order or the size of the batches.
class AffineBias {
 public:
  void observe(const at::Tensor& x, const Bias& how);
  void reset();

  /// A value that the data's dtype has, in which checkpoints hold it; undefined before any data was
  /// seen.
  const at::Tensor& value() const { return value_; }
  void set_value(at::Tensor value) { value_ = std::move(value); }
  /// max |x - bias| over all data.
  float amax() const;

 private:
  at::Tensor sum_;  // float64
  at::Tensor low_;
  at::Tensor high_;
  int64_t count_ = 0;  // of values in each sum
  at::Tensor value_;
};

}  // namespace lathe::quantization
