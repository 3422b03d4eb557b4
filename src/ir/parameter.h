#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lathe::ir {

/// A tensor that is read when someone asks for it: a slice of a mapped file, a dequantized block of
/// one, or a value that already exists. Tied parameters are one Parameter with two owners.
class Parameter {
 public:
  using Loader = std::function<at::Tensor()>;

  /// `load` is called at the first tensor() and must give this dtype and shape.
  Parameter(at::ScalarType dtype, std::vector<int64_t> shape, Loader load);
  explicit Parameter(at::Tensor value);

  at::ScalarType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t numel() const;
  /// Bytes of the tensor in its dtype.
  int64_t bytes() const;

  /// The value; read and kept until release().
  const at::Tensor& tensor() const;
  bool is_loaded() const { return value_.defined(); }
  /// Forgets a value that can be read again.
  void release() const;

  /// Replaces the value for good: it can no longer be released.
  void set(at::Tensor value);

 private:
  at::ScalarType dtype_;
  std::vector<int64_t> shape_;
  Loader load_;
  mutable at::Tensor value_;
};

using ParameterPtr = std::shared_ptr<Parameter>;

}  // namespace lathe::ir
