#include "kernels/nn_kernels.h"

#include <cmath>

#include "base/parallel.h"
#include "kernels/simd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/nn_kernels.cpp"
// foreach_target.h compiles this file once for each instruction set; it must come first.
// clang-format off
#include <hwy/foreach_target.h>
#include "kernels/cpu/lanes-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace lathe::kernels::HWY_NAMESPACE {

/// The value after a round trip through the dtype: what a separate operator would have stored.
template <class IO>
HWY_INLINE VF rounded(VF value) {
  if constexpr (std::is_same_v<IO, F32Lanes>) {
    return value;
  } else if constexpr (std::is_same_v<IO, BF16Lanes>) {
    return BF16Lanes::round(value);
  } else {
    typename IO::T buffer[kLanes];
    IO::store(value, buffer);
    return IO::load(buffer);
  }
}

/// output[i] = function(inputs[0][i], inputs[1][i], ...) in vectors; the tail goes through buffers.
template <class IO, size_t kInputs, class Function>
HWY_INLINE void map_elements(int64_t count, const typename IO::T* const (&inputs)[kInputs],
                             typename IO::T* output, const Function& function) {
  VF values[kInputs];
  VF others[kInputs];
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    for (size_t k = 0; k < kInputs; ++k) {
      const VPair pair = IO::load_pair(inputs[k] + i);
      values[k] = pair.first;
      others[k] = pair.second;
    }
    IO::store_pair({function(values), function(others)}, output + i);
  }
  for (; i + kLanes <= count; i += kLanes) {
    for (size_t k = 0; k < kInputs; ++k) values[k] = IO::load(inputs[k] + i);
    IO::store(function(values), output + i);
  }
  if (i >= count) return;
  typename IO::T buffer[kLanes] = {};
  const size_t bytes = static_cast<size_t>(count - i) * sizeof(buffer[0]);
  for (size_t k = 0; k < kInputs; ++k) {
    std::memcpy(buffer, inputs[k] + i, bytes);
    values[k] = IO::load(buffer);
  }
  IO::store(function(values), buffer);
  std::memcpy(output + i, buffer, bytes);
}

/// sum(x^2) of a row: in kMaxLanes partial sums, however long the vectors are, so that every
/// instruction set adds in the same order.
template <class IO>
class SquareSum {
 public:
  HWY_INLINE float of(const typename IO::T* x, int64_t size) {
    for (VF& sum : sums_) sum = hn::Zero(DF());
    int64_t i = 0;
    for (; i + kStep <= size; i += kStep) add(x + i);
    typename IO::T tail[kStep] = {};
    std::memcpy(tail, x + i, static_cast<size_t>(size - i) * sizeof(tail[0]));
    add(tail);
    return total();
  }

 private:
  static constexpr auto kStep = static_cast<int64_t>(kMaxLanes);

  HWY_INLINE void add(const typename IO::T* x) {
    for (int64_t k = 0; k < kStep / kLanes; ++k) {
      const VF value = IO::load(x + k * kLanes);
      sums_[k] = hn::Add(sums_[k], hn::Mul(value, value));
    }
  }

  HWY_INLINE float total() const {
    float parts[kStep];
    for (int64_t k = 0; k < kStep / kLanes; ++k) hn::StoreU(sums_[k], DF(), parts + k * kLanes);
    for (int64_t width = kStep / 2; width > 0; width /= 2) {
      for (int64_t k = 0; k < width; ++k) parts[k] += parts[k + width];
    }
    return parts[0];
  }

  VF sums_[kStep / kLanes];
};

template <class IO>
HWY_INLINE void norm_row(const RmsNorm& shape, const typename IO::T* x,
                         const typename IO::T* weight, typename IO::T* y) {
  const float mean = SquareSum<IO>().of(x, shape.size) / static_cast<float>(shape.size);
  const VF scale = hn::Set(DF(), 1.0f / std::sqrt(mean + shape.eps));
  const typename IO::T* const inputs[] = {x, weight};
  if (shape.weight_offset != 0.0f) {
    const VF offset = hn::Set(DF(), shape.weight_offset);
    map_elements<IO>(shape.size, inputs, y, [&](const VF* in) HWY_ATTR {
      return hn::Mul(hn::Mul(in[0], scale), hn::Add(offset, in[1]));
    });
  } else {
    map_elements<IO>(shape.size, inputs, y, [&](const VF* in) HWY_ATTR {
      return hn::Mul(rounded<IO>(hn::Mul(in[0], scale)), in[1]);
    });
  }
}

template <class IO>
void norm_rows(const RmsNorm& shape, const void* x, const void* weight, void* y, int64_t begin,
               int64_t end) {
  using T = typename IO::T;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * shape.size;
    norm_row<IO>(shape, static_cast<const T*>(x) + at, static_cast<const T*>(weight),
                 static_cast<T*>(y) + at);
  }
}

template <class IO>
void add_norm_rows(const RmsNorm& shape, const void* a, const void* b, const void* weight,
                   void* sum, void* y, int64_t begin, int64_t end) {
  using T = typename IO::T;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * shape.size;
    const T* const inputs[] = {static_cast<const T*>(a) + at, static_cast<const T*>(b) + at};
    T* const row_sum = static_cast<T*>(sum) + at;
    map_elements<IO>(shape.size, inputs, row_sum,
                     [](const VF* in) HWY_ATTR { return hn::Add(in[0], in[1]); });
    norm_row<IO>(shape, row_sum, static_cast<const T*>(weight), static_cast<T*>(y) + at);
  }
}

/// e^x, and e^-80 for smaller x; infinity from about 88.7 on. 2^n * e^r, |r| <= ln(2) / 2, e^r by
/// its Taylor series (the rest is below 2^-27). Products and sums round separately, so that all
/// instruction sets agree.
HWY_INLINE VF exponential(VF x) {
  const DF d;
  const VF clamped = hn::Max(hn::Min(x, hn::Set(d, 89.0f)), hn::Set(d, -80.0f));
  const VF n = hn::Round(hn::Mul(clamped, hn::Set(d, 1.44269504f)));
  // ln(2) in two parts; n times the first, which has 9 bits, is exact.
  VF r = hn::Sub(clamped, hn::Mul(n, hn::Set(d, 0.693359375f)));
  r = hn::Sub(r, hn::Mul(n, hn::Set(d, -2.12194440e-4f)));
  VF sum = hn::Set(d, 1.0f / 5040);
  for (const float coefficient : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    sum = hn::Add(hn::Mul(sum, r), hn::Set(d, coefficient));
  }
  // 2^n may be out of range where the product is not: 2^(n - 1) never is.
  const auto exponent = hn::Add(hn::ConvertTo(DI(), n), hn::Set(DI(), 126));
  return hn::Mul(hn::Add(sum, sum), hn::BitCast(d, hn::ShiftLeft<23>(exponent)));
}

HWY_INLINE VF silu(VF x) {
  return hn::Div(x, hn::Add(hn::Set(DF(), 1.0f), exponential(hn::Neg(x))));
}

template <class IO>
void swiglu_elements(const void* gate, const void* up, void* y, int64_t begin, int64_t end) {
  using T = typename IO::T;
  const T* const inputs[] = {static_cast<const T*>(gate) + begin,
                             static_cast<const T*>(up) + begin};
  map_elements<IO>(end - begin, inputs, static_cast<T*>(y) + begin,
                   [](const VF* in) HWY_ATTR { return hn::Mul(rounded<IO>(silu(in[0])), in[1]); });
}

/// One head of one token: the two halves of x are mixed.
template <class IO>
HWY_INLINE void rotate_row(int64_t size, const typename IO::T* x, const typename IO::T* cos,
                           const typename IO::T* sin, typename IO::T* y) {
  const int64_t half = size / 2;
  const typename IO::T* const low[] = {x, cos, x + half, sin};
  map_elements<IO>(half, low, y, [](const VF* in) HWY_ATTR {
    return hn::Sub(rounded<IO>(hn::Mul(in[0], in[1])), rounded<IO>(hn::Mul(in[2], in[3])));
  });
  const typename IO::T* const high[] = {x + half, cos + half, x, sin + half};
  map_elements<IO>(half, high, y + half, [](const VF* in) HWY_ATTR {
    return hn::Add(rounded<IO>(hn::Mul(in[0], in[1])), rounded<IO>(hn::Mul(in[2], in[3])));
  });
}

template <class IO>
void rotate_rows(const Rotary& shape, const void* x, const void* cos, const void* sin, void* y,
                 int64_t begin, int64_t end) {
  using T = typename IO::T;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t token = row % shape.tokens;
    const int64_t head = row / shape.tokens % shape.heads;
    const int64_t batch = row / shape.tokens / shape.heads;
    const int64_t table = batch * shape.table_batch_stride + token * shape.size;
    const int64_t from =
        batch * shape.batch_stride + head * shape.head_stride + token * shape.token_stride;
    rotate_row<IO>(shape.size, static_cast<const T*>(x) + from, static_cast<const T*>(cos) + table,
                   static_cast<const T*>(sin) + table, static_cast<T*>(y) + row * shape.size);
  }
}

void rms_norm(DType dtype, const RmsNorm& shape, const void* x, const void* weight, void* y,
              int64_t begin, int64_t end) {
  with_dtype(dtype, [&](auto io) { norm_rows<decltype(io)>(shape, x, weight, y, begin, end); });
}

void add_rms_norm(DType dtype, const RmsNorm& shape, const void* a, const void* b,
                  const void* weight, void* sum, void* y, int64_t begin, int64_t end) {
  with_dtype(dtype, [&](auto io) {
    add_norm_rows<decltype(io)>(shape, a, b, weight, sum, y, begin, end);
  });
}

void swiglu(DType dtype, const void* gate, const void* up, void* y, int64_t begin, int64_t end) {
  with_dtype(dtype, [&](auto io) { swiglu_elements<decltype(io)>(gate, up, y, begin, end); });
}

void rotary_embedding(DType dtype, const Rotary& shape, const void* x, const void* cos,
                      const void* sin, void* y, int64_t begin, int64_t end) {
  with_dtype(dtype, [&](auto io) { rotate_rows<decltype(io)>(shape, x, cos, sin, y, begin, end); });
}

}  // namespace lathe::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lathe::kernels {

HWY_EXPORT(rms_norm);
HWY_EXPORT(add_rms_norm);
HWY_EXPORT(swiglu);
HWY_EXPORT(rotary_embedding);

void rms_norm(DType dtype, const RmsNorm& shape, const void* x, const void* weight, void* y) {
  init_simd();
  parallel_for(0, shape.rows, 16, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(rms_norm)(dtype, shape, x, weight, y, begin, end);
  });
}

void add_rms_norm(DType dtype, const RmsNorm& shape, const void* a, const void* b,
                  const void* weight, void* sum, void* y) {
  init_simd();
  parallel_for(0, shape.rows, 16, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(add_rms_norm)(dtype, shape, a, b, weight, sum, y, begin, end);
  });
}

void swiglu(DType dtype, int64_t count, const void* gate, const void* up, void* y) {
  init_simd();
  parallel_for(0, count, 4096, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(swiglu)(dtype, gate, up, y, begin, end);
  });
}

void rotary_embedding(DType dtype, const Rotary& shape, const void* x, const void* cos,
                      const void* sin, void* y) {
  init_simd();
  parallel_for(0, shape.batch * shape.heads * shape.tokens, 64, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(rotary_embedding)(dtype, shape, x, cos, sin, y, begin, end);
  });
}

}  // namespace lathe::kernels
#endif
