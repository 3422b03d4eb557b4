// The kernels of transformer blocks against scalar formulas, on every instruction set.
#include "kernels/nn_kernels.h"

#include <cmath>

#include "kernels/samples.h"
#include "kernels/targets.h"
#include "lathe/error.h"

namespace lathe::kernels {
namespace {

/// Around the vector lengths of 4, 8 and 16.
constexpr int64_t kSizes[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 576};

/// The value as the dtype of `like` holds it.
float rounded(DType dtype, float value) {
  Matrix cell(dtype, 1, 1);
  cell.set(0, value);
  return cell.get(0);
}

/// Steps of the dtype between two numbers.
int64_t distance(DType dtype, float a, float b) {
  if (a == b || (std::isnan(a) && std::isnan(b))) return 0;
  const auto ordered = [&](float value) {
    Matrix cell(dtype, 1, 1);
    cell.set(0, value);
    const int64_t bits = dtype == DType::kF32 ? cell.load<int32_t>(0) : cell.load<int16_t>(0);
    const int64_t magnitude = bits & (dtype == DType::kF32 ? 0x7fffffff : 0x7fff);
    return bits < 0 ? -magnitude : magnitude;
  };
  return std::abs(ordered(a) - ordered(b));
}

void expect_near(const Matrix& found, const Matrix& expected, int64_t steps) {
  for (int64_t i = 0; i < found.rows * found.cols; ++i) {
    EXPECT_LE(distance(found.dtype, found.get(i), expected.get(i)), steps)
        << "element " << i << ": " << found.get(i) << ", expected " << expected.get(i);
  }
}

/// As PyTorch's separate operators round, but for the sum, which is exact.
Matrix norm_reference(const RmsNorm& shape, const Matrix& x, const Matrix& weight) {
  Matrix y(x.dtype, x.rows, x.cols);
  for (int64_t row = 0; row < shape.rows; ++row) {
    double sum = 0;
    for (int64_t i = 0; i < shape.size; ++i) {
      const double value = x.get(row * shape.size + i);
      sum += value * value;
    }
    const float mean = static_cast<float>(sum / static_cast<double>(shape.size));
    const float scale = 1.0f / std::sqrt(mean + shape.eps);
    for (int64_t i = 0; i < shape.size; ++i) {
      const float scaled = x.get(row * shape.size + i) * scale;
      const float w = weight.get(i);
      const bool offset = shape.weight_offset != 0.0f;
      y.set(row * shape.size + i,
            offset ? scaled * (shape.weight_offset + w) : rounded(x.dtype, scaled) * w);
    }
  }
  return y;
}

/// function(dtype, size) for all of both.
template <class Function>
void for_each_case(const Function& function) {
  for (const DType dtype : kDTypes) {
    for (const int64_t size : kSizes) {
      SCOPED_TRACE(testing::Message() << dtype_name(dtype) << ", size " << size);
      function(dtype, size);
    }
  }
}

TEST(NnKernels, RmsNormIsTheFormula) {
  for_each_case([](DType dtype, int64_t size) {
    for (const float offset : {0.0f, 1.0f}) {
      const RmsNorm shape{.rows = 5, .size = size, .eps = 1e-5f, .weight_offset = offset};
      const Matrix x = sample(dtype, 5, size, 1);
      const Matrix weight = sample(dtype, 1, size, 2);
      const Matrix expected = norm_reference(shape, x, weight);
      on_each_target([&] {
        Matrix y(dtype, 5, size);
        rms_norm(dtype, shape, x.bytes.data(), weight.bytes.data(), y.bytes.data());
        // The sum's last bits may turn one rounding of x / rms, which the weight then scales.
        expect_near(y, expected, dtype == DType::kF32 ? 4 : 2);
      });
    }
  });
}

TEST(NnKernels, AddRmsNormIsAnAdditionAndTheNorm) {
  for_each_case([](DType dtype, int64_t size) {
    const RmsNorm shape{.rows = 3, .size = size, .eps = 1e-6f, .weight_offset = 0.0f};
    const Matrix a = sample(dtype, 3, size, 1);
    const Matrix b = sample(dtype, 3, size, 2);
    const Matrix weight = sample(dtype, 1, size, 3);
    Matrix expected_sum(dtype, 3, size);
    for (int64_t i = 0; i < 3 * size; ++i) expected_sum.set(i, a.get(i) + b.get(i));
    on_each_target([&] {
      Matrix expected(dtype, 3, size), sum(dtype, 3, size), y(dtype, 3, size);
      rms_norm(dtype, shape, expected_sum.bytes.data(), weight.bytes.data(), expected.bytes.data());
      add_rms_norm(dtype, shape, a.bytes.data(), b.bytes.data(), weight.bytes.data(),
                   sum.bytes.data(), y.bytes.data());
      EXPECT_TRUE(sum == expected_sum);
      EXPECT_TRUE(y == expected);
    });
  });
}

/// Float32, where e^-x is infinite from about -88.7 on.
float silu(float x) { return x / (1.0f + static_cast<float>(std::exp(-static_cast<double>(x)))); }

TEST(NnKernels, SwiGluIsTheFormula) {
  for_each_case([](DType dtype, int64_t size) {
    Matrix gate = sample(dtype, 1, size, 1);
    for (int64_t i = 0; i < size; ++i) gate.set(i, gate.get(i) * 100.0f);
    const Matrix up = sample(dtype, 1, size, 2);
    Matrix expected(dtype, 1, size);
    for (int64_t i = 0; i < size; ++i) {
      expected.set(i, rounded(dtype, silu(gate.get(i))) * up.get(i));
    }
    on_each_target([&] {
      Matrix y(dtype, 1, size);
      swiglu(dtype, size, gate.bytes.data(), up.bytes.data(), y.bytes.data());
      expect_near(y, expected, dtype == DType::kF32 ? 4 : 2);
    });
  });
}

/// Gates far out on both sides, infinities and NaN, where e^-x leaves float32.
TEST(NnKernels, SwiGluOfEveryBfloat16) {
  const Matrix gate = all_halves(DType::kBF16);
  Matrix up(DType::kBF16, 256, 256);
  for (int64_t i = 0; i < 65536; ++i) up.set(i, 1.0f);
  on_each_target([&] {
    Matrix y(DType::kBF16, 256, 256);
    swiglu(DType::kBF16, 65536, gate.bytes.data(), up.bytes.data(), y.bytes.data());
    int64_t different = 0;
    for (int64_t i = 0; i < 65536; ++i) {
      const float x = gate.get(i);
      const float expected = rounded(DType::kBF16, silu(x));
      const int64_t steps = distance(DType::kBF16, y.get(i), expected);
      EXPECT_LE(steps, 1) << "silu(" << x << ") = " << y.get(i) << ", expected " << expected;
      different += steps != 0;
    }
    EXPECT_LE(different, 8);
  });
}

struct RotaryCase {
  int64_t batch, heads, tokens, size;
  bool shared_table;
};

/// x is read from a buffer [batch, tokens, heads, size], as it comes out of a projection.
void expect_rotation(DType dtype, const RotaryCase& c) {
  const int64_t rows = c.batch * c.heads * c.tokens;
  const int64_t table_rows = (c.shared_table ? 1 : c.batch) * c.tokens;
  const Matrix x = sample(dtype, rows, c.size, 1);
  const Matrix cos = sample(dtype, table_rows, c.size, 2);
  const Matrix sin = sample(dtype, table_rows, c.size, 3);
  const Rotary shape{.batch = c.batch,
                     .heads = c.heads,
                     .tokens = c.tokens,
                     .size = c.size,
                     .batch_stride = c.tokens * c.heads * c.size,
                     .head_stride = c.size,
                     .token_stride = c.heads * c.size,
                     .table_batch_stride = c.shared_table ? 0 : c.tokens * c.size};
  Matrix expected(dtype, rows, c.size);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t token = row % c.tokens;
    const int64_t head = row / c.tokens % c.heads;
    const int64_t batch = row / c.tokens / c.heads;
    const int64_t from = ((batch * c.tokens + token) * c.heads + head) * c.size;
    const int64_t table = ((c.shared_table ? 0 : batch) * c.tokens + token) * c.size;
    for (int64_t i = 0; i < c.size; ++i) {
      const bool low = i < c.size / 2;
      const float other = x.get(from + (low ? i + c.size / 2 : i - c.size / 2));
      const float turned = rounded(dtype, (low ? -other : other) * sin.get(table + i));
      const float kept = rounded(dtype, x.get(from + i) * cos.get(table + i));
      expected.set(row * c.size + i, kept + turned);
    }
  }
  on_each_target([&] {
    Matrix y(dtype, rows, c.size);
    rotary_embedding(dtype, shape, x.bytes.data(), cos.bytes.data(), sin.bytes.data(),
                     y.bytes.data());
    for (int64_t i = 0; i < rows * c.size; ++i) EXPECT_EQ(y.get(i), expected.get(i)) << i;
  });
}

TEST(NnKernels, RotaryEmbeddingIsTheFormulaBitForBit) {
  for (const DType dtype : kDTypes) {
    for (const int64_t size : {2, 6, 16, 30, 32, 64, 80}) {
      for (const bool shared : {false, true}) {
        SCOPED_TRACE(testing::Message() << dtype_name(dtype) << ", size " << size);
        expect_rotation(dtype, {2, 3, 5, size, shared});
      }
    }
  }
}

/// All kernels on a case that is larger than a piece of work; the bytes they give.
std::vector<Matrix> run_all(DType dtype) {
  const int64_t rows = 100, size = 131;
  const Matrix x = sample(dtype, rows, size, 1);
  const Matrix z = sample(dtype, rows, size, 2);
  const Matrix weight = sample(dtype, 1, size, 3);
  const RmsNorm norm{.rows = rows, .size = size, .eps = 1e-5f, .weight_offset = 0.0f};
  const Rotary rotary{1, 4, rows / 4, size - 1, 0, rows / 4 * size, size, 0};
  std::vector<Matrix> out(5, Matrix(dtype, rows, size));
  rms_norm(dtype, norm, x.bytes.data(), weight.bytes.data(), out[0].bytes.data());
  add_rms_norm(dtype, norm, x.bytes.data(), z.bytes.data(), weight.bytes.data(),
               out[1].bytes.data(), out[2].bytes.data());
  swiglu(dtype, rows * size, x.bytes.data(), z.bytes.data(), out[3].bytes.data());
  rotary_embedding(dtype, rotary, x.bytes.data(), z.bytes.data(), x.bytes.data(),
                   out[4].bytes.data());
  return out;
}

TEST(NnKernels, InstructionSetsAndThreadsGiveTheSameBits) {
  for (const DType dtype : kDTypes) {
    const std::vector<Matrix> expected = run_all(dtype);
    on_each_target([&] {
      for (const int threads : {1, 2}) {
        omp_set_num_threads(threads);
        EXPECT_TRUE(run_all(dtype) == expected) << threads << " threads";
      }
    });
  }
}

TEST(NnKernels, NothingToDo) {
  Matrix none(DType::kBF16, 0, 16);
  const Matrix weight = sample(DType::kBF16, 1, 16, 1);
  const RmsNorm norm{.rows = 0, .size = 16, .eps = 1e-5f, .weight_offset = 0.0f};
  rms_norm(DType::kBF16, norm, nullptr, weight.bytes.data(), nullptr);
  add_rms_norm(DType::kBF16, norm, nullptr, nullptr, weight.bytes.data(), nullptr, nullptr);
  swiglu(DType::kBF16, 0, nullptr, nullptr, nullptr);
  rotary_embedding(DType::kBF16, {0, 4, 3, 8, 0, 0, 0, 0}, nullptr, nullptr, nullptr, nullptr);
  EXPECT_TRUE(none.bytes.empty());
}

TEST(NnKernels, OtherDtypesAreInternalErrors) {
  const int64_t values[] = {1, 2};
  int64_t y[2];
  EXPECT_THROW(swiglu(DType::kI64, 2, values, values, y), InternalError);
}

}  // namespace
}  // namespace lathe::kernels
