#pragma once

#include <random>
#include <vector>

#include "kernels/matrix.h"

namespace lathe::kernels {

inline const DType kDTypes[] = {DType::kF32, DType::kBF16, DType::kF16};

/// All bit patterns of a 16-bit dtype.
inline Matrix all_halves(DType dtype) {
  Matrix x(dtype, 256, 256);
  for (int64_t i = 0; i < 65536; ++i) x.store(i, static_cast<uint16_t>(i));
  return x;
}

/// Numbers like those of a network, with zeros, exact halves, outliers and tiny values among them.
inline Matrix sample(DType dtype, int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 0.05f);
  Matrix x(dtype, rows, cols);
  for (int64_t i = 0; i < rows * cols; ++i) {
    float value = normal(random);
    switch (random() % 16) {
      case 0:
        value = (random() % 2 == 0) ? 0.0f : -0.0f;
        break;
      case 1:
        value = static_cast<float>(static_cast<int>(random() % 33) - 16) * 0.25f;
        break;
      case 2:
        value *= 1e-5f;
        break;
      case 3:
        value *= 20.0f;
        break;
      default:
        break;
    }
    x.set(i, value);
  }
  // A block of zeros.
  for (int64_t i = 0; i < std::min<int64_t>(32, rows * cols); ++i) x.set(i, 0.0f);
  return x;
}

}  // namespace lathe::kernels
