#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "lathe/dtype.h"

namespace lathe {

/// The dtype of a C++ type: float, int64_t, ...
template <typename T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::kF32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::kF64;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::kI64;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::kI32;
}

/// A contiguous row-major array in memory that several holders may share. Values are not written to
/// once it is made.
class Tensor {
 public:
  Tensor() = default;

  /// A tensor over memory that `owner` keeps alive.
  Tensor(DType dtype, std::vector<int64_t> shape, const void* data,
         std::shared_ptr<const void> owner);

  /// A tensor that owns its values; UserError if their number is not the product of the shape.
  template <typename T>
  static Tensor of(std::vector<T> values, std::vector<int64_t> shape);

  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t numel() const { return numel_; }
  size_t bytes() const;
  const void* data() const { return data_; }

  /// The values as T; UserError if the dtype is another.
  template <typename T>
  std::span<const T> values() const;

 private:
  void check_dtype(DType wanted) const;
  void check_count(size_t count) const;

  DType dtype_ = DType::kF32;
  std::vector<int64_t> shape_ = {0};
  int64_t numel_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
};

/// Tensors by the names that the model's inputs and outputs have: input_ids, attention_mask,
/// logits, ...
using NamedTensors = std::map<std::string, Tensor>;

/// Reads a .safetensors or .npz file, or an .npy file (whose tensor is called "input_ids").
NamedTensors load_tensors(const std::string& path);

/// Writes a .safetensors file, atomically.
void save_tensors(const std::string& path, const NamedTensors& tensors);

template <typename T>
Tensor Tensor::of(std::vector<T> values, std::vector<int64_t> shape) {
  auto owner = std::make_shared<const std::vector<T>>(std::move(values));
  Tensor tensor(dtype_of<T>(), std::move(shape), owner->data(), owner);
  tensor.check_count(owner->size());
  return tensor;
}

template <typename T>
std::span<const T> Tensor::values() const {
  check_dtype(dtype_of<T>());
  return {static_cast<const T*>(data_), static_cast<size_t>(numel_)};
}

}  // namespace lathe
