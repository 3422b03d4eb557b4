#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/float16.h"
#include "kernels/kernels.h"

namespace lathe::kernels {

/// A matrix that owns its elements, for tests. Bits are compared, so NaN equals itself.
struct Matrix {
  DType dtype;
  int64_t rows;
  int64_t cols;
  std::vector<std::byte> bytes;

  Matrix(DType dtype, int64_t rows, int64_t cols)
      : dtype(dtype),
        rows(rows),
        cols(cols),
        bytes(static_cast<size_t>(rows * cols) * dtype_size(dtype)) {}

  MatrixView view() const { return {bytes.data(), dtype, rows, cols}; }
  MutableMatrixView mutable_view() { return {bytes.data(), dtype, rows, cols}; }

  float get(int64_t i) const {
    if (dtype == DType::kF32) return load<float>(i);
    const auto half = load<uint16_t>(i);
    return dtype == DType::kBF16 ? float_from_bf16(half) : float_from_f16(half);
  }

  /// Rounds to the dtype.
  void set(int64_t i, float value) {
    if (dtype == DType::kF32) return store(i, value);
    store(i, dtype == DType::kBF16 ? bf16_from_float(value) : f16_from_float(value));
  }

  template <class T>
  T load(int64_t i) const {
    T value;
    std::memcpy(&value, bytes.data() + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    return value;
  }

  template <class T>
  void store(int64_t i, T value) {
    std::memcpy(bytes.data() + static_cast<size_t>(i) * sizeof(T), &value, sizeof(T));
  }

  bool operator==(const Matrix&) const = default;
};

}  // namespace lathe::kernels
